# SPDX-License-Identifier: Apache-2.0
"""The command line: help, wrong usage, `sluice check` and the exit statuses."""

import os
import subprocess

import pytest

from kit.proxy import binary


def sluice(*arguments, folder=None, **environment):
    return subprocess.run([os.path.abspath(binary()), *arguments], capture_output=True, text=True, timeout=30, cwd=folder,
                          env=environment)


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["run", "--help"], ["check", "-h"]])
def test_help(arguments):
    done = sluice(*arguments)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.startswith("Usage: sluice") and "Exit status" in done.stdout


@pytest.mark.parametrize("arguments, said", [
    ([], "Usage: sluice"),
    (["fly"], "unknown command 'fly'"),
    (["run", "--fly"], "sluice run: unrecognized option '--fly'"),
    (["run", "-c"], "sluice run: option requires an argument"),
    (["check", "sluice.yaml"], "-c FILE names a configuration"),
])
def test_wrong_usage(arguments, said):
    done = sluice(*arguments)
    assert done.returncode == 2 and not done.stdout
    assert said in done.stderr


def test_check_tells_everything(tmp_path):
    (tmp_path / "s.yaml").write_text("listeners: [{address: '127.0.0.1:0'}]\ntimeouts: {conect: 1s}\n"
                                     "acl: [{action: alow}]\n")
    done = sluice("check", "-c", "s.yaml", folder=tmp_path, SLUICE_TIMEOUTS__IDLE="soon")
    assert done.returncode == 1
    assert 's.yaml:2:12: timeouts.conect: unknown key of the timeouts; did you mean "connect"?' in done.stderr
    assert "s.yaml:3:16: acl[0].action" in done.stderr
    assert "SLUICE_TIMEOUTS__IDLE: timeouts.idle" in done.stderr


@pytest.mark.parametrize("command, status", [("check", 0), ("run", 3)])
def test_warnings_are_said(command, status, tmp_path):
    (tmp_path / "s.yaml").write_text("listeners: [{address: '127.0.0.1:0'}]\nadmin: {address: ':0'}\n"
                                     "log: {output: /nonexistent/log}\n")
    done = sluice(command, "-c", "s.yaml", folder=tmp_path)
    assert done.returncode == status
    assert "s.yaml:2:18: warning: admin.address" in done.stderr
    assert ("log.output: cannot open /nonexistent/log" in done.stderr) == (command == "run")


def test_a_port_in_use(origin):
    done = sluice("run", "-L", "127.0.0.1:%d" % origin.address[1], "--admin", "off")
    assert done.returncode == 3
    assert "Address already in use" in done.stderr
