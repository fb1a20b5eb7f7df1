# SPDX-License-Identifier: Apache-2.0
"""The command line: help, wrong usage, `sluice check` and the exit statuses."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from kit.net import is_closed
from kit.proxy import Proxy, binary
from kit.socks import Refused, socks5
from kit.wait import until


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


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["-V"]])
def test_version(arguments):
    """Issue: features and library versions."""
    done = sluice(*arguments)
    assert done.returncode == 0 and not done.stderr
    assert re.match(r"sluice \d+\.\d+\.\d+\n", done.stdout)
    for name in ("c-ares", "libyaml", "jansson", "libsodium", "libxcrypt", "liburcu", "libcap-ng",
                 "libseccomp", "xxhash"):
        assert re.search(name + r" \d+\.\d+", done.stdout), done.stdout
    for feature in ("features:", "connect", "socks5", "splice", "system call filter:"):
        assert feature in done.stdout


def test_what_to_try_is_said_without_a_terminal(sluice_folder):
    """Issue: prints what to try, with the addresses that the kernel chose."""
    proxy = Proxy(sluice_folder, args=["-L", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
                  env={"SLUICE_LOG__FORMAT": "text"})
    try:
        text = until(lambda: "Ctrl-C" in proxy.logs.text() and proxy.logs.text())
        proxy.stop()
    finally:
        proxy.kill()
    address = re.search(r"curl -x http://(127\.0\.0\.1:\d+) ", text)
    page = re.search(r"Live page:  http://(127\.0\.0\.1:\d+)/", text)
    assert address and page, text
    assert text.count("To try it") == 1
    assert f"--socks5-hostname {address[1]}" in text
    assert f"http://{page[1]}/metrics" in text


def test_with_a_file_nothing_is_said_to_try(sluice):
    assert "To try it" not in sluice({}).logs.text()


@pytest.fixture
def sluice_folder(folder):
    place = folder / "proxy"
    place.mkdir()
    place.chmod(0o777)
    return place


def test_a_password_does_not_stay_among_the_arguments(sluice, echo_server):
    """proc(5): every user of the machine can read them; the password works all the same."""
    proxy = sluice(args=["-L", "alice:s3cr:t@pass@127.0.0.1:0"])
    arguments = Path(f"/proc/{proxy.pid}/cmdline").read_bytes().split(b"\0")
    assert b"s3cr" not in b" ".join(arguments) and b"pass" not in b" ".join(arguments)
    assert any(re.fullmatch(rb"alice:x+@127\.0\.0\.1:0", a) for a in arguments)
    assert "s3cr" not in proxy.logs.text()
    with socks5(proxy.address, *echo_server.address, user="alice", password="s3cr:t@pass"):
        pass
    with pytest.raises(Refused):
        socks5(proxy.address, *echo_server.address, user="alice", password="wrong")


def test_ending_waits_for_sessions(sluice, echo_server):
    """Exit status 0: the last session ended in time."""
    proxy = sluice()
    with socks5(proxy.address, *echo_server.address) as tunnel:
        proxy.signal(signal.SIGTERM)
        proxy.wait_log("draining: no new connections")
        assert not proxy.process.poll()
        tunnel.sendall(b"x")
        assert tunnel.recv(1) == b"x"
    assert proxy.wait_end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(sluice, echo_server, number):
    """Exit status 4: sessions were cut."""
    proxy = sluice()
    proxy.exit_statuses = (4,)
    with socks5(proxy.address, *echo_server.address) as tunnel:
        proxy.signal(number)
        proxy.wait_log("draining: no new connections")
        proxy.signal(number)
        assert proxy.wait_end() == 4
        assert is_closed(tunnel)


def test_the_drain_time_is_limited(sluice, echo_server):
    """Exit status 4, after timeouts.drain."""
    proxy = sluice({"timeouts": {"drain": "200ms"}})
    proxy.exit_statuses = (4,)
    with socks5(proxy.address, *echo_server.address):
        proxy.signal(signal.SIGTERM)
        assert proxy.wait_end() == 4


def test_an_unknown_user_to_become(folder):
    """Exit status 3, and what to do."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    (folder / "s.yaml").write_text("listeners: [{address: '127.0.0.1:0'}]\nadmin: {address: off}\n"
                                   "user: nobody-has-this-name\n")
    done = sluice("run", "-c", str(folder / "s.yaml"))
    assert done.returncode == 3
    assert "there is no such user" in done.stderr and "nobody-has-this-name" in done.stderr


def test_files_that_the_new_user_cannot_use_are_warned_of(sluice, folder):
    """What a reload or USR1 will need is seen at the start, not at 3 a.m."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    secret = folder / "users"
    secret.write_text("")
    secret.chmod(0o600)
    log = folder / "access.log"
    log.write_text("")
    log.chmod(0o600)
    os.link(log, folder / "second-name")  # a file of two names is not the proxy's to give away
    proxy = sluice({"users_file": str(secret), "access_log": {"output": str(log)},
                    "listeners": [{"name": "main", "address": "127.0.0.1:0", "open": True}]})
    warned = {r["file"]: r["message"] for r in proxy.logs.read() if r["level"] == "warn" and "file" in r}
    assert "reloads will fail" in warned[str(secret)]
    assert "cannot be reopened" in warned[str(log)]
    assert str(proxy.file) not in warned
    assert "Permission denied" in proxy.reload(ok=False)["why"]


def test_log_files_made_as_root_are_given_to_the_user(sluice, folder):
    """What root opened at the start can be opened again after root was given up."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    folder.chmod(0o755)
    log = folder / "access.log"
    proxy = sluice({"access_log": {"output": str(log)}})
    assert log.stat().st_uid != 0
    assert not [r for r in proxy.logs.read() if r.get("file") == str(log)]
