# SPDX-License-Identifier: Apache-2.0
"""scripts/install-deps: the backports entry that it derives from a machine's own sources."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "install-deps"
BOOKWORM = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'


@pytest.fixture(name="system")
def fixture_system(tmp_path):
    """A function that lays out /etc of a machine and returns what the script says about it."""

    def run(files, os_release=BOOKWORM, arguments=("--print-backports",), **environment):
        for name, text in {"etc/os-release": os_release, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        env = {**os.environ, "INSTALL_DEPS_ROOT": str(tmp_path), **environment}
        env.pop("TOOLS_SKIP_DEPS", None)
        env.update(environment)
        return subprocess.run([SCRIPT, *arguments], env=env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False, timeout=60)

    return run


def stanza(text):
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_deb822(system):
    done = system({"etc/apt/sources.list.d/debian.sources": """\
# a comment
Types: deb
URIs: https://mirror.example/security
Suites: bookworm-security
Components: main
Signed-By: /keys/security.gpg

Types: deb deb-src
# another comment
URIs: https://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /keys/debian.gpg
"""})
    assert done.returncode == 0
    assert stanza(done.stdout) == [
        "Types: deb",
        "URIs: https://mirror.example/debian",
        "Suites: bookworm-backports",
        "Components: main",
        "Signed-By: /keys/debian.gpg",
    ]


def test_deb822_key_inside(system):
    done = system({"etc/apt/sources.list.d/a.sources": """\
Types: deb
URIs: https://mirror.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
"""})
    assert stanza(done.stdout)[-5:] == [
        "Signed-By:",
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
        " abc",
        " -----END PGP PUBLIC KEY BLOCK-----",
    ]


def test_one_line_with_options(system):
    done = system({"etc/apt/sources.list": """\
deb-src http://mirror.example/src bookworm main
deb [arch=amd64,arm64 signed-by=/keys/d.gpg] http://mirror.example/debian  bookworm  contrib main # x
"""})
    assert stanza(done.stdout) == [
        "Types: deb",
        "URIs: http://mirror.example/debian",
        "Suites: bookworm-backports",
        "Components: main",
        "Architectures: amd64 arm64",
        "Signed-By: /keys/d.gpg",
    ]


def test_one_line_plain(system):
    done = system({"etc/apt/sources.list": "deb http://mirror.example/debian bookworm main\n"})
    assert stanza(done.stdout) == ["Types: deb", "URIs: http://mirror.example/debian",
                                   "Suites: bookworm-backports", "Components: main"]


def test_configured_already(system):
    done = system({
        "etc/apt/sources.list": "deb http://a.example/debian bookworm main\n",
        "etc/apt/sources.list.d/x.sources":
            "Types: deb\nURIs: http://b.example/\nSuites: bookworm-backports\nComponents: main\n",
    })
    assert (done.returncode, done.stdout) == (0, "")


def test_disabled_and_foreign_sources_are_no_base(system):
    done = system({
        "etc/apt/sources.list": "# deb http://a.example/debian bookworm main\n",
        "etc/apt/sources.list.d/x.sources":
            "Enabled: no\nTypes: deb\nURIs: http://b.example/\nSuites: bookworm\nComponents: main\n",
        "etc/apt/sources.list.d/y.list": "deb http://c.example/ nodistro main\n",
    })
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("text, expected", [
    ('ID=debian\nVERSION_ID="11"\nVERSION_CODENAME=bullseye\n', "expected 12 or newer"),
    ('ID=ubuntu\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\n', "expected 24.04 or newer"),
    ("ID=fedora\nVERSION_ID=40\n", "unsupported system 'fedora'"),
])
def test_unsupported_systems_are_told_so(system, text, expected):
    done = system({}, os_release=text, arguments=("--dry-run",))
    assert done.returncode == 1
    assert expected in done.stderr


def test_unknown_option(system):
    done = system({}, arguments=("--nonsense",))
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_can_be_told_to_do_nothing(system):
    done = system({}, os_release="ID=fedora\n", arguments=("--tests",), TOOLS_SKIP_DEPS="1")
    assert (done.returncode, done.stdout) == (0, "")
