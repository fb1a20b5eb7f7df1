# SPDX-License-Identifier: Apache-2.0
"""scripts/check-layers: what it lets pass and what it refuses, with file and line."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-layers"


@pytest.fixture(name="check")
def fixture_check(tmp_path):
    """A function that makes a tree of the given files and returns the script's complaints."""

    def run(files, layers="base:\nio: base\n", homes="yaml.h: config\nssl/: io/tls\n"):
        files = {"LAYERS": layers, "HOMES": homes, **files}
        for name, text in files.items():
            path = tmp_path / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([SCRIPT, tmp_path], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == (1 if done.stdout else 0), done.stderr
        return done.stdout.splitlines()

    return run


def test_allowed_arrows_pass(check):
    assert check({
        "base/a.h": "#pragma once\n",
        "base/a.c": '#include "base/a.h"\n#include <stdio.h>\n',
        "io/b.c": '#include "base/a.h"\n',
        "io/tls_a.c": "#include <ssl/ssl.h>\n",
    }) == []


def test_forbidden_arrow(check):
    errors = check({"io/b.h": "", "base/a.c": '\n#include "io/b.h"\n'})
    assert errors == ["src/base/a.c:2: 'base' must not include 'io' (io/b.h); src/LAYERS allows: nothing"]


def test_vendor_header_away_from_home(check):
    errors = check({"io/b.c": "#include <yaml.h>\n# include <ssl/x.h>\n"})
    assert [e.split(": ")[0] for e in errors] == ["src/io/b.c:1", "src/io/b.c:2"]


def test_include_not_by_room_and_missing(check):
    errors = check({"io/b.h": "", "io/b.c": '#include "b.h"\n#include "io/none.h"\n'})
    assert errors == ['src/io/b.c:1: include by room: "io/b.h"', "src/io/b.c:2: there is no src/io/none.h"]


def test_include_cycle(check):
    errors = check({"io/a.h": '#include "io/b.h"\n', "io/b.h": '#include "io/a.h"\n'})
    assert errors == ["src/io/a.h: includes itself: io/a.h -> io/b.h -> io/a.h"]


def test_circle_and_unknown_room_in_the_table(check):
    errors = check({"new/a.c": ""}, layers="base: io\nio: base none\n")
    assert "src/LAYERS: room 'io' may include 'none', which has no line of its own" in errors
    assert "src/LAYERS: circle: base -> io -> base" in errors
    assert "src/new/a.c: room 'new' has no line in src/LAYERS" in errors
