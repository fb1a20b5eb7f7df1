# SPDX-License-Identifier: Apache-2.0
"""Upstream proxies (P9) and the PROXY protocol in and out (P1, P9)."""

import base64
import shutil
import socket
import struct
import subprocess
import time

import pytest

from kit.http import Client
from kit.net import Server, dial, free_port, is_closed, pattern, read_all, read_exactly, read_until
from kit.socks import TUNNELS, Refused, connect, socks5
from kit.wait import until


def chained(parent, **config):
    return {"parents": [{"name": "up"} | parent], "forward": {"parent": "up"}} | config


def talk(sock, data=b"ping"):
    sock.sendall(data)
    assert read_exactly(sock, len(data)) == data
    sock.close()


@pytest.fixture
def upstream(sluice):
    """Another sluice that asks for a log-in."""
    return sluice({"users": [{"name": "me", "password": "pa:ss"}]})


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("how", [*TUNNELS, "http"])
def test_through_another_sluice(sluice, upstream, dns, origin, echo_server, how, kind):
    """P9: every front protocol through either kind of parent, with credentials; names go on as names."""
    proxy = sluice(chained({"type": kind, "address": f"127.0.0.1:{upstream.port}", "username": "me",
                            "password": "pa:ss"}, dns={"servers": [dns.name]}))
    if how == "http":
        with Client(proxy.address) as client:
            for _ in range(3):
                assert client.get(f"http://localhost:{origin.port}/bytes/10").body == pattern(10)
        assert origin.last().get("via") == ("1.1 sluice, 1.1 sluice" if kind == "http" else
                                            "1.1 sluice") or len(origin.last().all("via")) == 2
        assert origin.last().get("proxy-authorization") is None
    else:
        talk(TUNNELS[how](proxy.address, "localhost", echo_server.port))
    mine, other = proxy.wait_access()[0], upstream.wait_access()[0]
    assert other["user"] == "me"
    assert other["host"] == mine["host"] == "localhost"
    assert mine["parent"] == "up"
    assert not dns.queries, "the parent resolves"


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_bulk_through_a_parent(sluice, upstream, echo_server, kind):
    """P9 D1: bulk is exact and spliced."""
    proxy = sluice(chained({"type": kind, "address": f"127.0.0.1:{upstream.port}", "username": "me",
                            "password": "pa:ss"}))
    sock = socks5(proxy.address, *echo_server.address)
    data = pattern(4 << 20)
    import threading  # pylint: disable=import-outside-toplevel
    threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)),
                     daemon=True).start()
    assert read_all(sock) == data
    sock.close()
    record = proxy.access()
    assert (record["bytes_up"], record["bytes_down"]) == (len(data), len(data))
    assert record["bytes_spliced"] > 0


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_bad_credentials(sluice, upstream, echo_server, kind):
    """P9: what the parent refuses is a 502 for the client, and says so."""
    proxy = sluice(chained({"type": kind, "address": f"127.0.0.1:{upstream.port}", "username": "me",
                            "password": "wrong"}))
    with pytest.raises(Refused) as refused:
        connect(proxy.address, *echo_server.address)
    assert refused.value.code == 502
    assert proxy.access()["reason"] == "parent_auth_failed"


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_parent_refuses(sluice, echo_server, kind):
    """P9: a destination that the parent denies or cannot reach."""
    upstream = sluice({"acl": [{"action": "deny", "ports": [echo_server.port]}]})
    proxy = sluice(chained({"type": kind, "address": f"127.0.0.1:{upstream.port}"}))
    for port in (echo_server.port, free_port()):
        with pytest.raises(Refused) as refused:
            connect(proxy.address, "127.0.0.1", port)
        assert refused.value.code in (403, 502)
    assert all(r["reason"].startswith(("parent_", "connect_"))
               for r in proxy.wait_access(count=2))


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_parent_is_away(sluice, echo_server, kind):
    """P9: nobody listens there."""
    proxy = sluice(chained({"type": kind, "address": f"127.0.0.1:{free_port()}"}))
    with pytest.raises(Refused) as refused:
        connect(proxy.address, *echo_server.address)
    assert refused.value.code == 502


@pytest.mark.parametrize("kind,answer", [
    ("http", b"HTTP/1.1 200 OK\nbad\n\n"), ("http", b"garbage\r\n\r\n"), ("http", b""),
    ("http", b"HTTP/1.1 200 " + b"x" * 100000 + b"\r\n\r\n"),
    ("socks5", b"\x04\x00"), ("socks5", b"\x05\x02"), ("socks5", b""), ("socks5", b"HTTP/1.1 400 \r\n"),
    ("socks5", b"\x05\x00\x05\x00\x00\x09"), ("socks5", b"\x05\xff")])
def test_bad_parent(sluice, servers, kind, answer):
    """P9 Q2: a parent that breaks its protocol: 502, never a tunnel."""
    def handle(sock, _number):
        sock.recv(4096)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)
    parent = servers.serve(handle)
    proxy = sluice(chained({"type": kind, "address": parent.name}))
    with pytest.raises(Refused) as refused:
        connect(proxy.address, "127.0.0.1", 9)
    assert refused.value.code == 502


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_silent_parent(sluice, servers, kind):
    """P9: a parent that says nothing costs the connect time: 504."""
    parent = servers.serve(lambda sock, _n: read_all(sock))
    proxy = sluice(chained({"type": kind, "address": parent.name}, timeouts={"connect": "500ms"}))
    began = time.monotonic()
    with pytest.raises(Refused) as refused:
        connect(proxy.address, "127.0.0.1", 9)
    assert refused.value.code == 504
    assert time.monotonic() - began < 3


def test_http_parent_bytes(sluice, servers):
    """P9: what goes to an HTTP parent: CONNECT with credentials; early bytes behind the answer."""
    heads = []

    def handle(sock, _number):
        heads.append(read_until(sock, b"\r\n\r\n"))
        sock.sendall(b"HTTP/1.1 200 fine\r\nX: y\r\n\r\nearly")
        sock.sendall(read_exactly(sock, 4))
        read_all(sock)
    parent = servers.serve(handle)
    proxy = sluice(chained({"type": "http", "address": parent.name, "username": "u",
                            "password": "p"}))
    sock = connect(proxy.address, "name.test", 99)
    assert read_exactly(sock, 5) == b"early"
    sock.sendall(b"next")
    assert read_exactly(sock, 4) == b"next"
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "CONNECT name.test:99 HTTP/1.1"
    assert "Host: name.test:99" in lines
    assert "Proxy-Authorization: Basic " + base64.b64encode(b"u:p").decode() in lines


def test_parent_by_rule(sluice, upstream, origin, echo_server):
    """P9 A2: a rule sends some destinations through a parent; `direct` keeps others from it."""
    proxy = sluice({
        "parents": [{"name": "up", "type": "socks5", "address": f"127.0.0.1:{upstream.port}",
                     "username": "me", "password": "pa:ss"}],
        "acl": [{"action": "allow", "ports": [echo_server.port], "parent": "up"},
                {"action": "allow", "parent": "direct"}]})
    talk(connect(proxy.address, *echo_server.address))
    with Client(proxy.address) as client:
        assert client.get(origin.url()).status == 200
    assert len(upstream.wait_access()) == 1
    parents = {r["port"]: r.get("parent") for r in proxy.wait_access(count=2)}
    assert parents == {echo_server.port: "up", origin.port: None}


def test_parent_on_loopback_from_outside(sluice, dns, echo_server):
    """P9 A2 C2: the guard is for destinations: a parent on loopback serves an outside listener, and a
    reload does not take its tunnels for forbidden ones."""
    dns.zone["far.test"] = ["127.0.0.1"]
    upstream = sluice({"dns": {"servers": [dns.name]}})
    parent = {"type": "socks5", "address": f"127.0.0.1:{upstream.port}"}
    config = chained(parent, listeners=[{"name": "main", "address": "127.0.0.1:0",
                                         "allow_local": False}])
    proxy = sluice(config)
    sock = connect(proxy.address, "far.test", echo_server.port)
    for _ in range(2):
        proxy.reload(config)
        sock.sendall(b"still")
        assert read_exactly(sock, 5) == b"still"
    with pytest.raises(Refused):
        connect(proxy.address, "127.0.0.1", echo_server.port)


def test_route_with_a_parent(sluice, upstream, echo_server):
    """P9: a fixed target through a parent, across a reload."""
    config = {"listeners": [{"name": "main", "address": "127.0.0.1:0", "protocols": ["tcp"]}],
              "routes": [{"to": [echo_server.name], "parent": "up"}],
              "parents": [{"name": "up", "type": "http", "address": f"127.0.0.1:{upstream.port}",
                           "username": "me", "password": "pa:ss"}]}
    proxy = sluice(config)
    sock = dial(proxy.address)
    sock.sendall(b"ping")
    assert read_exactly(sock, 4) == b"ping"
    proxy.reload(config)
    talk(sock)


def test_loop_through_itself(sluice):
    """P9 C1: a parent that is the proxy itself is refused by the check."""
    port = free_port()
    proxy = sluice({"listeners": [{"name": "main", "address": f"127.0.0.1:{port}"}],
                    "parents": [{"name": "up", "type": "http", "address": f"127.0.0.1:{port}"}],
                    "forward": {"parent": "up"}}, ready=False)
    proxy.exit_statuses = (1,)
    assert proxy.wait_end() == 1
    assert "round in circles" in proxy.logs.text()


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_loop_of_two(sluice, echo_server, kind):
    """P9 Q2: two proxies that are each other's parents do not go round for ever."""
    ports = [free_port(), free_port()]
    both = [sluice({"listeners": [{"name": "main", "address": f"127.0.0.1:{ports[i]}"}],
                    "parents": [{"name": "up", "type": kind, "address": f"127.0.0.1:{ports[1 - i]}"}],
                    "forward": {"parent": "up"}, "limits": {"connections": 100},
                    "timeouts": {"connect": "2s"}}) for i in range(2)]
    with pytest.raises((Refused, EOFError)):
        connect(both[0].address, *echo_server.address)
    with Client(both[0].address) as client:
        assert client.get("http://a.test/").status >= 400
    for proxy in both:
        until(lambda proxy=proxy: proxy.descriptors() < 60, what="all of it to end")


# Other people's proxies

def start(argv, port, folder):
    # pylint: disable-next=consider-using-with
    process = subprocess.Popen(argv, stdout=(folder / "peer.log").open("ab"), stderr=subprocess.STDOUT)

    def ready():
        try:
            dial(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False
    try:
        until(ready, 15, argv[0], every=0.05)
    except BaseException:
        process.kill()
        raise
    return process


@pytest.fixture
def tinyproxy(folder):
    if not shutil.which("tinyproxy"):
        pytest.skip("tinyproxy is not installed")
    port = free_port()
    (folder / "tinyproxy.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nBasicAuth me secret\n"
        "Allow 127.0.0.1\n")
    process = start(["tinyproxy", "-d", "-c", str(folder / "tinyproxy.conf")], port, folder)
    yield port
    process.kill()
    process.wait()


@pytest.fixture
def dante(folder):
    if not shutil.which("danted"):
        pytest.skip("dante-server is not installed")
    port = free_port()
    (folder / "danted.conf").write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n"
        "socksmethod: none\nclientmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\n"
        "client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}\n".replace("{{", "{").replace("}}", "}") +
        "socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n")
    process = start(["danted", "-f", str(folder / "danted.conf")], port, folder)
    yield port
    process.terminate()
    process.wait()


def test_tinyproxy(sluice, tinyproxy, origin, echo_server):
    """P9: another HTTP proxy as parent, with credentials."""
    proxy = sluice(chained({"type": "http", "address": f"127.0.0.1:{tinyproxy}", "username": "me",
                            "password": "secret"}))
    talk(socks5(proxy.address, *echo_server.address))
    with Client(proxy.address) as client:
        for _ in range(3):
            assert client.get(origin.url("/bytes/1000")).body == pattern(1000)
    assert "tinyproxy" in origin.last().get("via")


def test_dante(sluice, dante, origin, echo_server):
    """P9: another SOCKS5 proxy as parent."""
    proxy = sluice(chained({"type": "socks5", "address": f"127.0.0.1:{dante}"}))
    talk(connect(proxy.address, *echo_server.address))
    with Client(proxy.address) as client:
        for _ in range(3):
            assert client.get(origin.url("/bytes/1000")).body == pattern(1000)


# PROXY protocol

def header_v2(source, destination, command=1, family=0x11, extra=b""):
    body = socket.inet_aton(source[0]) + socket.inet_aton(destination[0]) + \
        struct.pack("!HH", source[1], destination[1]) + extra
    if family != 0x11:
        body = extra
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


V1 = b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 80\r\n"
V2 = header_v2(("203.0.113.9", 4711), ("198.51.100.1", 80), extra=b"\x04\x00\x01\x00")
SIX = b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 80\r\n"


def in_front(**options):
    return {"listeners": [{"name": "main", "address": "127.0.0.1:0",
                           "proxy_protocol": {"from": ["127.0.0.1"]} | options}]}


@pytest.mark.parametrize("header,client", [
    (V1, "203.0.113.9:4711"), (V2, "203.0.113.9:4711"), (SIX, "[2001:db8::9]:4711"),
    (b"PROXY UNKNOWN\r\n", None), (header_v2(("1.2.3.4", 1), ("1.2.3.4", 1), 0, 0), None)])
@pytest.mark.parametrize("pieces", [False, True])
def test_proxy_header_in(sluice, origin, header, client, pieces):
    """P1: v1 and v2 of a trusted peer tell the client's address, for logs and rules."""
    proxy = sluice(in_front() | {"acl": [{"action": "deny", "sources": ["203.0.113.0/24",
                                                                        "2001:db8::/32"]}]})
    with Client(proxy.address) as one:
        if pieces:
            for byte in header:
                one.send(bytes([byte]))
                time.sleep(0.0005)
        else:
            one.send(header)
        status = one.get(origin.url()).status
    record = proxy.access()
    if client:
        assert status == 403
        assert record["client"] == client
    else:
        assert status == 200
        assert record["client"].startswith("127.0.0.1:")


def test_proxy_header_before_socks_and_tls(sluice, echo_server):
    """P1: behind the header anything may come."""
    proxy = sluice(in_front())
    sock = dial(proxy.address)
    sock.sendall(V2 + b"\x05\x01\x00")
    assert read_exactly(sock, 2) == b"\x05\x00"
    sock.sendall(b"\x05\x01\x00\x01\x7f\0\0\1" + struct.pack("!H", echo_server.port))
    read_exactly(sock, 10)
    talk(sock)
    assert proxy.access()["client"] == "203.0.113.9:4711"


def test_proxy_header_is_optional(sluice, origin):
    """P1: a trusted peer may also come without one."""
    proxy = sluice(in_front())
    with Client(proxy.address) as client:
        assert client.get(origin.url()).status == 200


def test_proxy_header_required(sluice, origin):
    """P1: unless it must."""
    proxy = sluice(in_front(required=True))
    with Client(proxy.address) as client:
        client.request(f"GET {origin.url()} HTTP/1.1", [f"Host: {origin.name}"])
        assert client.is_closed()
    assert proxy.access()["reason"] == "proxy_protocol_missing"
    with Client(proxy.address) as client:
        assert client.send(V1).get(origin.url()).status == 200


@pytest.mark.parametrize("header", [V1, V2])
def test_proxy_header_of_a_stranger(sluice, origin, header):
    """P1 Q2: from a peer that is not trusted it is no header: refused, and never believed."""
    proxy = sluice(in_front())
    with Client(proxy.address, source="127.0.0.2") as client:
        client.send(header + f"GET {origin.url()} HTTP/1.1\r\nHost: {origin.name}\r\n\r\n".encode())
        data = client.stream.rest()
    assert not data.startswith(b"HTTP/1.1 200")
    assert not origin.requests
    assert proxy.access()["client"].startswith("127.0.0.2:")


@pytest.mark.parametrize("header", [
    b"PROXY TCP4 203.0.113.9 198.51.100.1 4711\r\n", b"PROXY TCP4 300.0.113.9 198.51.100.1 4711 80\r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 99999 80\r\n", b"PROXY TCP9 x\r\n",
    b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 80\n", b"PROXY " + b"x" * 200 + b"\r\n",
    V2[:12] + b"\x31" + V2[13:], V2[:12] + b"\x2f" + V2[13:],
    V2[:14] + b"\x00\x04" + b"\0" * 4])
def test_bad_proxy_header(sluice, origin, header):
    """P1 Q2: a broken header ends the connection."""
    proxy = sluice(in_front())
    with Client(proxy.address) as client:
        client.send(header + f"GET {origin.url()} HTTP/1.1\r\nHost: {origin.name}\r\n\r\n".encode())
        assert client.stream.rest() == b""
    assert not origin.requests
    assert proxy.access()["reason"] == "proxy_protocol_malformed"


def test_limits_count_the_real_client(sluice, echo_server):
    """A3 P1: limits of an address are those of the client in the header, not of the balancer."""
    proxy = sluice(in_front() | {"limits": {"per_address": {"connections": 1}}})

    def open_as(number):
        sock = dial(proxy.address)
        sock.sendall(b"PROXY TCP4 203.0.113.%d 198.51.100.1 4711 80\r\n" % number + b"\x05\x01\x00")
        data = sock.recv(2)
        return sock if data else None
    held = [open_as(n) for n in range(5)]
    assert all(held)
    try:
        assert open_as(3) is None
    except ConnectionResetError:
        pass
    assert echo_server is not None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_proxy_header_out(sluice, servers, version):
    """P9: the target of a route is told who the client is, in the first bytes."""
    got = []

    def handle(sock, _number):
        got.append(sock.recv(4096, socket.MSG_PEEK))
        time.sleep(0.05)
        got.append(sock.recv(4096))
        sock.sendall(b"answer")
    server = servers.serve(handle)
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0", "protocols": ["tcp"]}],
                    "routes": [{"to": [server.name], "send_proxy": version}]})
    sock = dial(proxy.address)
    local = sock.getsockname()
    sock.sendall(b"hello")
    assert read_exactly(sock, 6) == b"answer"
    data = got[-1]
    if version == "v1":
        head = f"PROXY TCP4 127.0.0.1 127.0.0.1 {local[1]} {proxy.port}\r\n".encode()
    else:
        head = header_v2(("127.0.0.1", local[1]), ("127.0.0.1", proxy.port))
    assert data == head + b"hello"
    sock.close()
    record = proxy.access()
    assert (record["bytes_up"], record["bytes_down"]) == (5, 6)


def test_proxy_header_through(sluice, servers):
    """P1 P9: in and out: the client's address goes on."""
    server = servers.serve(lambda sock, _n: sock.sendall(read_until(sock, b"\r\n")))
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0", "protocols": ["tcp"],
                                   "proxy_protocol": {"from": ["127.0.0.1"], "required": True}}],
                    "routes": [{"to": [server.name], "send_proxy": "v1"}]})
    sock = dial(proxy.address)
    sock.sendall(V1 + b"x")
    assert read_all(sock).startswith(b"PROXY TCP4 203.0.113.9 ")


def test_servers_fixture_is_a_server(servers):
    """The kit's own server ends what it serves."""
    server = servers.serve(lambda sock, _n: sock.sendall(b"bye"))
    assert isinstance(server, Server)
    sock = dial(server.address)
    assert read_exactly(sock, 3) == b"bye"
    assert is_closed(sock)
