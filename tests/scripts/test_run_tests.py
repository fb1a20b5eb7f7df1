# SPDX-License-Identifier: Apache-2.0
"""scripts/run-tests: how one record of Meson's log is counted."""

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest


def load():
    path = Path(__file__).parents[2] / "scripts" / "run-tests"
    loader = SourceFileLoader("run_tests", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    loader.exec_module(module)
    return module


RUN_TESTS = load()


@pytest.mark.parametrize("result, status, stdout, expected", [
    # A program without TAP counts as one.
    ("OK", 0, "fine\n", (1, 0, 0)),
    ("FAIL", 1, "ok 1 - told by chance, without a plan\n", (0, 1, 0)),
    ("SKIP", 77, "needs root\n", (0, 0, 1)),
    ("TIMEOUT", -9, "", (0, 1, 0)),
    # cmocka's TAP: every function counts.
    ("OK", 0, "1..2\nok 1 - a\nok 2 - b\n", (2, 0, 0)),
    ("FAIL", 1, "1..3\nok 1 - a\nnot ok 2 - b\nok 3 - c # SKIP\n", (1, 1, 1)),
    # Two groups in one program.
    ("OK", 0, "1..1\nok 1 - a\n1..1\nok 1 - b\n", (2, 0, 0)),
    # It died on the way, or after all was well: never a pass only.
    ("FAIL", -11, "1..3\nok 1 - a\n", (1, 1, 0)),
    ("FAIL", 1, "1..1\nok 1 - a\n", (1, 1, 0)),
    ("FAIL", 1, "1..1\n", (0, 1, 0)),
])
def test_count(result, status, stdout, expected):
    totals = RUN_TESTS.Totals()
    RUN_TESTS.count_program(totals, {"name": "x", "result": result, "returncode": status,
                                     "stdout": stdout, "stderr": ""})
    assert (totals.passed, totals.failed, totals.skipped) == expected
