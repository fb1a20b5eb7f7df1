# SPDX-License-Identifier: Apache-2.0
"""Configuration and change (C1, C2, O2): check, environment, reload, watch, drain, logs."""

import json
import signal
import socket
import threading
import time

import pytest

from kit.http import Client, Origin
from kit.net import Server, dial, echo, free_port, is_closed, pattern, read_all, read_exactly
from kit.proxy import command
from kit.socks import Refused, connect, socks5
from kit.wait import until

MAIN = {"name": "main", "address": "127.0.0.1:0"}


# Check

BROKEN = """\
listners:
  - address: 127.0.0.1:0
listeners:
  - address: 127.0.0.1:99999
    protocols: [http, sox5]
timeouts: {connect: 10 parsecs, idel: 5s}
users:
  - {name: a, password_hash: nonsense}
acl:
  - {action: alow, destinations: [300.1.1.1], ports: [80-70], users: [b]}
http: {max_head: 1}
routes:
  - {to: [x]}
"""


def test_check_says_everything_at_once(folder):
    """C1: file, line, column, key path, what was found, what was expected; a suggestion for typos."""
    file = folder / "bad.yaml"
    file.write_text(BROKEN)
    done = command("check", "-c", file)
    assert done.returncode == 1
    said = done.stderr
    for place, words in (("1:1", ["listners", "listeners"]), ("4:14", ["99999"]),
                         ("5:23", ["sox5", "socks5"]), ("6:21", ["10 parsecs"]), ("6:33", ["idel", "idle"]),
                         ("8:30", ["password_hash"]), ("10:14", ["alow", "allow"]),
                         ("10:35", ["300.1.1.1"]), ("10:55", ["80-70"]), ("10:71", ["b"]),
                         ("11:18", ["max_head"]), ("13:11", ["x"])):
        line = next((l for l in said.splitlines() if f"{file}:{place}:" in l), None)
        assert line, f"{place} in\n{said}"
        for word in words:
            assert word in line, line


@pytest.mark.parametrize("text,word", [
    ("listeners: [", ":1:"), ("a: b: c", ":1:"), ("listeners: {a: 1}", "list"),
    ("[1, 2]", "mapping"), ("timeouts: {connect: 1s, connect: 2s}", "twice"), ("\t- x", ":1:"),
    ("listeners: *nothing", ":1:"), ("\x00", ""), ("--- a\n--- b", "")])
def test_text_that_is_no_configuration(folder, text, word):
    """C1 Q2: syntax errors have their place too."""
    file = folder / "bad.yaml"
    file.write_text(text)
    done = command("check", "-c", file)
    assert done.returncode == 1
    assert str(file) in done.stderr and word in done.stderr, done.stderr


def test_files_that_are_not_there(folder):
    """C1: a missing file, and missing files that it names."""
    done = command("check", "-c", folder / "none.yaml")
    assert done.returncode == 1
    assert "none.yaml" in done.stderr
    file = folder / "names.yaml"
    file.write_text(f"users_file: {folder}/users\n"
                    f"acl: [{{action: deny, domains_files: [{folder}/domains]}}]\n")
    done = command("check", "-c", file)
    assert done.returncode == 1
    assert "names.yaml:1:" in done.stderr and "names.yaml:2:" in done.stderr
    assert "users" in done.stderr and "domains" in done.stderr


def test_errors_in_named_files(folder):
    """C1: a bad line of a users file or list is named with its own file and line."""
    (folder / "users").write_text("good:$2b$05$" + "a" * 53 + "\nbad line\n")
    (folder / "domains").write_text("fine.test\nnot a domain\n")
    file = folder / "names.yaml"
    file.write_text(f"users_file: {folder}/users\n"
                    f"acl: [{{action: deny, domains_files: [{folder}/domains]}}]\n")
    done = command("check", "-c", file)
    assert done.returncode == 1
    assert f"{folder}/users:2" in done.stderr
    assert f"{folder}/domains:2" in done.stderr


def test_json_is_fine(folder, sluice):
    """C1: JSON is YAML."""
    file = folder / "good.json"
    file.write_text(json.dumps({"listeners": [MAIN], "limits": {"connections": 5}}, indent=2))
    done = command("check", "-c", file)
    assert (done.returncode, done.stderr) == (0, "")
    sluice(json.dumps({"listeners": [MAIN], "admin": {"address": "off"}}))


# Environment

def test_environment_overrides_the_file(sluice, origin):
    """C1: every key can be set from the environment, which wins over the file."""
    proxy = sluice({"http": {"via": "file"}, "timeouts": {"idle": "9s"}},
                   env={"SLUICE_HTTP__VIA": "surroundings"})
    with Client(proxy.address) as client:
        client.get(origin.url())
    assert origin.last().get("via") == "1.1 surroundings"


def test_environment_with_lists(sluice, origin):
    """C1: lists and mappings too."""
    proxy = sluice({}, env={
        "SLUICE_LISTENERS": '[{name: from-env, address: "127.0.0.1:0"}]',
        "SLUICE_ACL": "[{action: deny, ports: [1-10]}]", "SLUICE_ACL_DEFAULT": "allow"})
    assert list(proxy.listeners()) == ["from-env"]
    with Client(proxy.address) as client:
        assert client.get(origin.url()).status == 200
        assert client.get("http://127.0.0.1:7/").status == 403


@pytest.mark.parametrize("name,value,word", [
    ("SLUICE_TIMEOUTS__CONECT", "5s", "CONNECT"), ("SLUICE_NONSENSE", "1", "NONSENSE"),
    ("SLUICE_TIMEOUTS__CONNECT", "soon", "soon"), ("SLUICE_WORKERS", "-1", "-1")])
def test_bad_environment(sluice, name, value, word):
    """C1: errors there name the variable; unknown ones are errors."""
    proxy = sluice({}, env={name: value}, ready=False)
    proxy.exit_statuses = (1,)
    assert proxy.wait_end() == 1
    assert name in proxy.logs.text() and word in proxy.logs.text()


# Reload

def test_listeners_come_and_go(sluice, echo_server):
    """C2: a reload adds and removes listeners; connections of a removed one go on."""
    config = {"listeners": [MAIN, {"name": "old", "address": "127.0.0.1:0"}]}
    proxy = sluice(config)
    old = proxy.listeners()["old"]
    main = proxy.listeners()["main"]
    tunnel = socks5(old, *echo_server.address)
    waiting = dial(old)
    proxy.reload({"listeners": [MAIN, {"name": "new", "address": "127.0.0.1:0"}]})
    until(lambda: "new" in proxy.listeners() and "old" not in proxy.listeners(), what="the listeners")
    assert proxy.listeners()["main"] == main, "what stays is not opened anew"
    socks5(proxy.listeners()["new"], *echo_server.address).close()

    def refused():
        try:
            dial(old).close()
            return False
        except ConnectionRefusedError:
            return True
    until(refused, what="the old listener to be closed")
    tunnel.sendall(b"still")
    assert read_exactly(tunnel, 5) == b"still"
    waiting.close()


def test_a_bad_file_changes_nothing(sluice, origin):
    """C2: a reload that fails leaves everything as it was, and says why."""
    proxy = sluice({"acl": [{"action": "deny", "ports": [7]}]})
    for bad in ("listeners: [", {"timeouts": {"conect": "1s"}},
                {"listeners": [MAIN, {"name": "x", "address": f"127.0.0.1:{origin.port}"}]}):
        record = proxy.reload(bad, ok=False)
        assert record["level"] == "error"
        assert record["why"]
        with Client(proxy.address) as client:
            assert client.get(origin.url()).status == 200
            assert client.get("http://127.0.0.1:7/").status == 403
    assert list(proxy.listeners()) == ["main"]
    proxy.reload({})
    with Client(proxy.address) as client:
        assert client.get("http://127.0.0.1:7/").status == 502


def test_reload_under_load_drops_nothing(sluice, origin, echo_server):
    """C2: thousands of requests and running tunnels while the configuration changes again and again."""
    config = {"listeners": [MAIN]}
    proxy = sluice(config)
    stop, failures, done = threading.Event(), [], [0]

    def requests(fresh):
        client = None
        while not stop.is_set():
            try:
                client = client or Client(proxy.address)
                if client.get(origin.url("/bytes/100")).body != pattern(100):
                    failures.append("body")
                done[0] += 1
                if fresh:
                    client.close()
                    client = None
            except (OSError, EOFError) as error:
                failures.append(repr(error))
                client = None

    def tunnels():
        sock = socks5(proxy.address, *echo_server.address)
        while not stop.is_set():
            sock.sendall(pattern(3000))
            if read_exactly(sock, 3000) != pattern(3000):
                failures.append("echo")
            done[0] += 1
    threads = [threading.Thread(target=requests, args=(n % 2,), daemon=True) for n in range(4)] + \
        [threading.Thread(target=tunnels, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(20):
        proxy.reload(config | {"timeouts": {"idle": f"{number + 5}m"},
                               "limits": {"connections": 1000 + number},
                               "acl": [{"action": "deny", "ports": [number + 1]}]})
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert not failures, failures[:5]
    assert done[0] > 100


def test_settings_take_effect(sluice, origin):
    """C2: timeouts, HTTP settings and log levels of new requests are those of the new file."""
    proxy = sluice({"http": {"via": "one"}, "timeouts": {"http_keepalive": "60s"}})
    with Client(proxy.address) as client:
        client.get(origin.url())
        assert origin.last().get("via") == "1.1 one"
        proxy.reload({"http": {"via": "two"}, "timeouts": {"http_keepalive": "300ms"}})
        client.get(origin.url())
        assert origin.last().get("via") == "1.1 two"
        began = time.monotonic()
        assert client.is_closed()
        assert 0.1 < time.monotonic() - began < 2


def test_routes_and_parents_change(sluice, servers):
    """C2: a route's new target is used at once; pooled connections to the old one are not."""
    first, second = servers.add(Origin()), servers.add(Origin())
    proxy = sluice({"routes": [{"name": "web", "hosts": ["web.test"], "to": [first.name]}]})
    with Client(proxy.address) as client:
        def ask():
            client.request("GET /json HTTP/1.1", ["Host: web.test"])
            assert client.response().status == 200
        ask()
        proxy.reload({"routes": [{"name": "web", "hosts": ["web.test"], "to": [second.name]}]})
        ask()
    assert (len(first.requests), len(second.requests)) == (1, 1)


def test_watch(sluice, origin):
    """C2: a watched file is read again when it changes, by writing or by replacing; bad ones are not
    taken."""
    proxy = sluice({"watch": True})

    def status(port):
        with Client(proxy.address) as client:
            return client.get(f"http://127.0.0.1:{port}/").status
    assert status(7) == 502
    proxy.write({"watch": True, "acl": [{"action": "deny", "ports": [7]}]})
    proxy.wait_log("configuration reloaded")
    assert status(7) == 403
    text = proxy.file.read_text()
    proxy.file.write_text(text.replace("deny", "dny"))
    proxy.wait_log(lambda r: r["message"].startswith("reload failed"))
    assert status(7) == 403
    proxy.file.write_text(text.replace('"ports": [', '"ports": [9, '))
    until(lambda: sum(r["message"] == "configuration reloaded" for r in proxy.logs.read()) == 2,
          what="the second reload")
    assert status(9) == 403
    with Client(proxy.address) as client:
        assert client.get(origin.url()).status == 200


# Drain

def test_drain_lets_transfers_finish(sluice, servers, origin):
    """C2: TERM takes no new connections and lets tunnels and requests that run finish."""
    go = threading.Event()

    def half(sock, _number):
        sock.sendall(pattern(100000))
        go.wait(10)
        sock.sendall(pattern(100000, 100000))
    server = servers.serve(half)

    def slow(stream, request):
        go.wait(10)
        origin.reply(stream, request, body=pattern(1000))
        return True
    origin.routes["/wait"] = slow
    proxy = sluice({"timeouts": {"drain": "20s"}})
    tunnel = connect(proxy.address, *server.address)
    with Client(proxy.address) as client:
        client.request(f"GET {origin.url('/wait')} HTTP/1.1", [f"Host: {origin.name}"])
        until(lambda: origin.requests, what="the request")
        assert read_exactly(tunnel, 100000) == pattern(100000)
        proxy.signal(signal.SIGTERM)
        proxy.wait_log(lambda r: r["message"].startswith("draining"))

        def refused():
            try:
                with dial(proxy.address) as sock:
                    return is_closed(sock, 0.5)
            except (ConnectionRefusedError, ConnectionResetError):
                return True
        until(refused, what="no new connections")
        assert proxy.process.poll() is None
        go.set()
        response = client.response()
        assert response.body == pattern(1000)
        assert response.get("connection").lower() == "close"
    assert read_all(tunnel) == pattern(100000, 100000)
    tunnel.close()
    assert proxy.wait_end() == 0


def test_idle_connections_do_not_hold_a_drain(sluice, origin):
    """C2: silent and idle keep-alive connections end at once."""
    proxy = sluice({"timeouts": {"drain": "20s"}})
    with Client(proxy.address) as used, Client(proxy.address) as silent:
        used.get(origin.url())
        began = time.monotonic()
        proxy.signal(signal.SIGTERM)
        assert proxy.wait_end() == 0
        assert time.monotonic() - began < 3
        assert used.is_closed() and silent.is_closed()


# Logs

def test_logs_are_reopened(sluice, folder, origin):
    """C2 O2: after USR1 lines go to new files of the same names; none is lost."""
    place = folder / "logs"
    place.mkdir()
    place.chmod(0o777)
    proxy = sluice({"log": {"output": str(place / "log"), "format": "json"},
                    "access_log": {"output": str(place / "access"), "format": "json"},
                    "listeners": [{"name": "main", "address": f"127.0.0.1:{free_port()}"}]},
                   ready=False)
    until(lambda: (place / "log").exists() and "ready" in (place / "log").read_text(), what="ready")
    port = json.loads(proxy.file.read_text())["listeners"][0]["address"].rpartition(":")[2]
    with Client(("127.0.0.1", int(port))) as client:
        for number in range(3):
            for _ in range(5):
                client.get(origin.url())
            until(lambda n=number: sum(f.read_text().count("\n") for f in place.glob("access*"))
                  == 5 * (n + 1), what="the lines")
            (place / "access").rename(place / f"access.{number}")
            (place / "log").rename(place / f"log.{number}")
            proxy.signal(signal.SIGUSR1)
            until((place / "access").exists, what="the new file")
    assert [(place / f"access.{n}").read_text().count("\n") for n in range(3)] == [5, 5, 5]


def test_text_logs(sluice, origin):
    """O2: the text format has the same facts, escaped."""
    proxy = sluice({}, env={"SLUICE_ACCESS_LOG__FORMAT": "text"})
    with Client(proxy.address) as client:
        client.get(origin.url("/json?secret=1"))
    line = until(lambda: proxy.accesses.text(), what="a line")
    assert " status=200 " in line and "method=GET" in line and "reason=done" in line
    assert "secret" not in line
    assert line.count("\n") == 1


def test_access_log_off(sluice, origin):
    """O2 C8: no access log when it is switched off."""
    proxy = sluice({}, env={"SLUICE_ACCESS_LOG__FORMAT": "off"})
    with Client(proxy.address) as client:
        assert client.get(origin.url()).status == 200
    time.sleep(0.2)
    proxy.stop()
    assert proxy.accesses.text() == ""


def test_times_in_the_log(sluice, servers):
    """O2: how long each step took, in microseconds."""
    def slow(sock, number):
        time.sleep(0.2)
        echo(sock, number)
    server = servers.add(Server(slow))
    proxy = sluice()
    sock = socks5(proxy.address, *server.address)
    sock.sendall(b"x")
    assert sock.recv(1) == b"x"
    time.sleep(0.1)
    sock.close()
    record = proxy.access()
    assert 0 < record["connect_us"] < 200000
    assert 190000 < record["first_byte_us"] < 1500000
    assert record["total_us"] >= record["first_byte_us"] + 90000
    assert record["address"] == server.name


def test_port_in_use_is_told(sluice, origin):
    """C1: starting on a used port fails with a text that helps."""
    proxy = sluice({"listeners": [{"name": "main", "address": origin.name}]}, ready=False)
    proxy.exit_statuses = (3,)
    assert proxy.wait_end() == 3
    assert "another program" in proxy.logs.text()


def test_refused_before_ready_is_not_half_open(sluice):
    """C2: nothing is accepted before the proxy serves: connecting works from the ready line on."""
    proxy = sluice()
    with dial(proxy.address) as sock:
        assert sock.getpeername()[1] == proxy.port
    with pytest.raises((Refused, OSError)):
        connect(proxy.address, "127.0.0.1", free_port(socket.AF_INET))
