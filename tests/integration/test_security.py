# SPDX-License-Identifier: Apache-2.0
"""What one client must not get by another's log-in, by timing, or by greed (A1 A2 A3 A6 C2 Q2)."""

import base64
import signal
import threading
import time

import pytest

from kit.http import Client, Stream, read_head
from kit.net import dial, reset
from kit.proxy import command
from kit.socks import connect
from kit.wait import until

ALICE = {"name": "alice", "password": "secret"}
BOB = {"name": "bob", "password": "hunter2"}


def basic(user, password):
    return "Proxy-Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


AS_ALICE, AS_BOB = basic("alice", "secret"), basic("bob", "hunter2")


# Who asks

def test_refused_user_stays_refused(sluice, echo_server, origin):
    """A3: over the user's limit, the next request on the connection is refused like the first."""
    proxy = sluice({"users": [ALICE | {"limits": {"connections": 1}}]})
    held = connect(proxy.address, *echo_server.address, "alice", "secret")
    with Client(proxy.address) as client:
        for _ in range(3):
            assert client.get(origin.url(), AS_ALICE).status == 429
        assert client.connect(echo_server.name, AS_ALICE).status == 429
        held.close()
        until(lambda: client.get(origin.url(), AS_ALICE).status == 200, what="room again")
    assert len(echo_server.connections) == 1


def test_log_in_is_of_its_request(sluice, origin):
    """A1 A2: where log-ins are not asked for, a request without one is nobody's, whoever used the
    connection before: another proxy in front sends the requests of many."""
    proxy = sluice({"users": [ALICE, BOB], "acl_default": "deny",
                    "acl": [{"action": "allow", "users": ["alice"]}],
                    "listeners": [{"name": "main", "address": "127.0.0.1:0",
                                   "authentication": "none"}]})
    with Client(proxy.address) as client:
        statuses = [client.get(origin.url(), *fields).status for fields in (
            [], [AS_ALICE], [], [AS_BOB], [AS_ALICE], [basic("alice", "wrong")], [])]
    assert statuses == [403, 200, 403, 403, 200, 407, 403]
    assert len(origin.requests) == 2


def test_connection_log_ins_are_not_shared(sluice, origin):
    """A1 B4: a server's connection that NTLM or Negotiate has logged in serves that client alone."""
    proxy = sluice({"workers": 1})
    url = origin.url()
    with Client(proxy.address) as first, Client(proxy.address) as second:
        plain = first.get(url).json["connection"]
        assert second.get(url).json["connection"] == plain, "ordinary connections are shared"
        for scheme in ("NTLM", "negotiate"):
            mine = first.get(url, f"Authorization: {scheme} QQ==").json["connection"]
            assert second.get(url).json["connection"] != mine
            assert first.get(url).json["connection"] == mine, "the log-in takes several requests"
            assert second.get(url, "Authorization: NTLM QQ==").json["connection"] != mine
    with Client(proxy.address) as third:
        assert third.get(url).json["connection"] != mine


def test_slow_check_ends_with_its_answer(sluice, origin, folder):
    """A1 Q2: a log-in that is checked too slowly is refused once; nothing is connected for it later."""
    line = command("passwd", "--kind", "argon2id", "--stdin", "bob", stdin="x\n", timeout=30).stdout
    (folder / "users").write_text(line)
    (folder / "users").chmod(0o644)
    proxy = sluice({"workers": 1, "users_file": str(folder / "users"),
                    "authentication": {"failures": 0}, "timeouts": {"admission": "150ms"}})
    clients = [Client(proxy.address) for _ in range(12)]
    for number, client in enumerate(clients):
        password = "x" if number == 11 else f"wrong{number}"
        client.request(f"GET {origin.url()} HTTP/1.1",
                       [f"Host: {origin.name}", basic("bob", password)])
    last = clients[-1].response()
    assert last.status == 503
    assert clients[-1].is_closed()
    for client in clients:
        client.close()
    time.sleep(1)
    assert not origin.requests


# Reloads meet what is under way

class Parent:
    """An HTTP parent that answers CONNECT when it is told to."""

    def __init__(self):
        self.asked, self.go = threading.Event(), threading.Event()

    def __call__(self, sock, _number):
        read_head(Stream(sock))
        self.asked.set()
        self.go.wait(20)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            sock.sendall(sock.recv(100))
        except OSError:
            pass


@pytest.mark.parametrize("change", ["rule", "login"])
def test_reload_while_connecting(sluice, servers, change):
    """A2 C2: what a reload forbids while it is being connected does not come to be."""
    parent = Parent()
    server = servers.serve(parent)
    config = {"parents": [{"name": "p", "type": "http", "address": server.name}],
              "forward": {"parent": "p"}}
    proxy = sluice(config)
    client = Client(proxy.address)
    client.request("CONNECT far.test:443 HTTP/1.1", ["Host: far.test:443"])
    assert parent.asked.wait(10)
    if change == "rule":
        proxy.reload(config | {"acl": [{"action": "deny", "domains": ["far.test"]}]})
    else:
        proxy.reload(config | {"users": [ALICE]})
    parent.go.set()
    assert client.response("CONNECT").status == {"rule": 403, "login": 407}[change]
    client.close()


# Pooled connections

def test_pool_keeps_the_parent_of_an_address(sluice, servers, origin, dns):
    """A2 B4: whom the rules send through a parent gets no connection that went without."""
    dns.zone["site.test"] = ["127.0.0.1"]
    asked = []

    def parent(sock, _number):
        stream = Stream(sock)
        while True:
            asked.append(read_head(stream).target)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nparent")

    server = servers.serve(parent)
    proxy = sluice({"workers": 1, "users": [ALICE, BOB], "dns": {"servers": [dns.name]},
                    "parents": [{"name": "p", "type": "http", "address": server.name}],
                    "acl": [{"action": "allow", "users": ["bob"], "destinations": ["127.0.0.0/8"],
                             "parent": "p"}]})
    url = f"http://site.test:{origin.port}/json"
    with Client(proxy.address) as client:
        assert client.get(url, AS_ALICE).json["connection"]
        assert client.get(url, AS_BOB).body == b"parent"
        assert client.get(url, AS_ALICE).json["connection"]
    assert asked == [url]


# Greed

def test_endless_pipeline_does_not_hold_a_worker(sluice, origin):
    """A6 Q2: who sends requests as fast as they are answered leaves room for others."""
    proxy = sluice({"workers": 1})
    stop = threading.Event()

    def read(sock):
        while not stop.is_set():
            try:
                if not sock.recv(1 << 20):
                    return
            except OSError:
                return

    def write(sock):
        data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 4000
        try:
            while not stop.is_set():
                sock.sendall(data)
        except OSError:
            pass

    greedy = dial(proxy.address)
    threads = [threading.Thread(target=f, args=(greedy,), daemon=True) for f in (read, write)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    times = []
    with Client(proxy.address) as client:
        for _ in range(20):
            began = time.monotonic()
            assert client.get(origin.url()).status == 200
            times.append(time.monotonic() - began)
    stop.set()
    greedy.close()
    assert sorted(times)[10] < 0.3, times


# Upgrades

def test_no_upgrade_to_http2(sluice, origin):
    """Q2: requests inside h2c would be seen by no rule; the upgrade is not passed on."""
    proxy = sluice()
    with Client(proxy.address) as client:
        client.request(f"GET {origin.url('/upgrade')} HTTP/1.1", [
            f"Host: {origin.name}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: websocket, h2c",
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"])
        assert client.response().status == 200
    assert origin.last().get("upgrade") is None


def test_upgrade_before_the_end_of_the_request(sluice, origin):
    """Q2: a 101 in the middle of a request's content ends it: the rest is no other protocol."""
    proxy = sluice()
    with Client(proxy.address) as client:
        client.request(f"POST {origin.url('/upgrade')} HTTP/1.1", [
            f"Host: {origin.name}", "Connection: Upgrade", "Upgrade: echo/1",
            "Transfer-Encoding: chunked"], b"3\r\nabc\r\n")
        assert client.response("POST").status == 502


# What is written down

def test_log_tells_of_its_own_request(sluice, origin):
    """O2: a refused request is not logged with the user, rule and address of the one before it."""
    proxy = sluice({"users": [ALICE], "acl": [{"action": "allow", "name": "all"}]})
    with Client(proxy.address) as client:
        assert client.get(origin.url(), AS_ALICE).status == 200
        assert client.get(origin.url(), basic("mallory", "x")).status == 407
    good, bad = proxy.wait_access(count=2)
    assert good["user"] == "alice" and good["rule"] == "all" and good["address"]
    assert not {"user", "rule", "address"} & set(bad), bad


# Ends that come together

@pytest.mark.parametrize("last", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", b"more"])
def test_both_ends_gone_at_once(sluice, servers, last):
    """Q2: the origin's last word comes in the very moment when its client has reset."""
    began, go, done = (threading.Event() for _ in range(3))

    def handle(sock, _number):
        read_head(Stream(sock))
        if not last.startswith(b"HTTP"):
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nsome")
        began.set()
        go.wait(20)
        sock.sendall(last)
        sock.close()
        done.set()

    origin = servers.serve(handle)
    proxy = sluice({"workers": 1})
    client = Client(proxy.address)
    client.request(f"GET http://{origin.name}/ HTTP/1.1", [f"Host: {origin.name}"])
    assert began.wait(10)
    if not last.startswith(b"HTTP"):
        client.stream.until(b"some")
    proxy.signal(signal.SIGSTOP)  # so that it sees both at once, the origin first
    go.set()
    assert done.wait(10)
    time.sleep(0.05)
    reset(client.sock)
    time.sleep(0.05)
    proxy.signal(signal.SIGCONT)
    assert proxy.wait_access(count=1)


@pytest.mark.parametrize("request_", [
    b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", b"\x05\x01\x00\x05\x09\x00\x01\x7f\0\0\1\0\x50",
    b"\x05\x01\x00\x05\x01\x07", b"\x04\x07\x00\x50\x7f\0\0\1\0", b"\x05\x01\x00\x05\x01\x00\x01\x7f\0\0\1\0\1",
    b"GET / HTTP/1.1\r\n\r\n", b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n" * 20])
def test_client_gone_before_its_refusal(sluice, request_):
    """Q2: a bad request whose answer cannot be written, since its client has reset."""
    proxy = sluice({"workers": 1})
    clients = [dial(proxy.address) for _ in range(5)]
    for client in clients:
        client.sendall(request_[:3])
    time.sleep(0.1)
    proxy.signal(signal.SIGSTOP)  # the rest and the reset are there at once
    for client in clients:
        client.sendall(request_[3:])
        reset(client)
    time.sleep(0.05)
    proxy.signal(signal.SIGCONT)
    assert proxy.wait_access(count=5)
