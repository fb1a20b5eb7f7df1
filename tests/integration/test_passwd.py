# SPDX-License-Identifier: Apache-2.0
"""`sluice passwd`: the line that it makes, on a terminal and from the standard input, and refusals."""

import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

from kit.proxy import binary

COMMAND = [binary(), "passwd"]
PREFIXES = {"yescrypt": "$y$", "argon2id": "$argon2id$", "bcrypt": "$2b$", "sha512crypt": "$6$"}


def passwd(*arguments, given=b"secret\n"):
    return subprocess.run(COMMAND + list(arguments), input=given, capture_output=True, timeout=30)


class Terminal:
    """The command with a terminal of its own, as its session leader sees it."""

    def __init__(self, *arguments):
        self.output, inner = os.pipe()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.dup2(inner, 1)
            os.execv(COMMAND[0], COMMAND + list(arguments))
        os.close(inner)
        self.seen = b""

    def read_until(self, text, seconds=10):
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.master, 1000)

    def echo(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        with os.fdopen(self.output, "rb") as output:
            line = output.read()
        # What it said on the terminal, which ends with an error when its last user is gone.
        try:
            while data := os.read(self.master, 1000):
                self.seen += data
        except OSError:
            pass
        os.close(self.master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), line


@pytest.mark.parametrize("kind", PREFIXES)
def test_kinds(kind):
    result = passwd("--kind", kind, "--stdin", "alice")
    assert result.returncode == 0 and result.stderr == b""
    name, made = result.stdout.decode().rstrip("\n").split(":")
    assert name == "alice" and made.startswith(PREFIXES[kind])
    assert passwd("--kind", kind, "--stdin", "alice").stdout != result.stdout


def test_terminal():
    terminal = Terminal("alice")
    terminal.read_until(b"Password: ")
    assert not terminal.echo()
    terminal.type(b"hidden one\n")
    terminal.read_until(b"Once more: ")
    terminal.type(b"hidden one\n")
    status, line = terminal.end()
    assert status == 0 and line.startswith(b"alice:$y$")
    assert b"hidden" not in terminal.seen


def test_terminal_two_differ():
    terminal = Terminal("alice")
    terminal.read_until(b"Password: ")
    terminal.type(b"one\n")
    terminal.read_until(b"Once more: ")
    terminal.type(b"two\n")
    assert terminal.end() == (1, b"")
    assert b"differ" in terminal.seen


def test_interrupt_restores_the_echo():
    terminal = Terminal("alice")
    terminal.read_until(b"Password: ")
    assert not terminal.echo()
    terminal.type(b"abc\x03")
    end = time.monotonic() + 10
    while not terminal.echo():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert terminal.end() == (-signal.SIGINT, b"")


@pytest.mark.parametrize("arguments, given, status, said", [
    (["--stdin", "a"], b"", 3, b"empty"),
    (["--stdin", "a"], b"\n", 1, b"empty"),
    (["--stdin", "a"], b"x" * 256 + b"\n", 1, b"at most 255"),
    (["--stdin", "-k", "bcrypt", "a"], b"x" * 73 + b"\n", 1, b"at most 72"),
    (["--stdin", "a"], b"x\0y\n", 1, b"NUL"),
    (["--stdin", "a:b"], b"x\n", 2, b"not a user name"),
    (["--stdin", "a b"], b"x\n", 2, b"not a user name"),
    (["--stdin", "#a"], b"x\n", 2, b"not a user name"),
    (["--stdin", ""], b"x\n", 2, b"not a user name"),
    (["--stdin", "n" * 256], b"x\n", 2, b"not a user name"),
    (["--stdin"], b"x\n", 2, b"whose password"),
    (["--stdin", "-k", "md5", "a"], b"x\n", 2, b"unknown --kind"),
    (["--nonsense", "a"], b"x\n", 2, b"Usage"),
])
def test_refusals(arguments, given, status, said):
    result = passwd(*arguments, given=given)
    assert result.returncode == status and said in result.stderr and result.stdout == b""


def test_password_as_argument_is_not_repeated():
    result = passwd("alice", "topsecret")
    assert result.returncode == 2 and b"never an argument" in result.stderr
    assert b"topsecret" not in result.stdout + result.stderr


def test_longest_and_carriage_return():
    assert passwd("--stdin", "a", given=b"x" * 255 + b"\r\n").returncode == 0


def test_without_terminal():
    result = subprocess.run(COMMAND + ["alice"], stdin=subprocess.DEVNULL, capture_output=True,
                            start_new_session=True, timeout=30)
    assert result.returncode == 3 and b"no terminal" in result.stderr


def test_output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        result = subprocess.run(COMMAND + ["--stdin", "a"], input=b"x\n", stdout=full,
                                stderr=subprocess.PIPE, timeout=30)
    assert result.returncode == 3 and b"cannot write" in result.stderr
