# SPDX-License-Identifier: Apache-2.0
"""Connections that name no destination (P1, P8): TLS by SNI, raw TCP, servers that speak first."""

import socket
import ssl
import struct
import threading
import time

import pytest

from kit.http import Client, Origin
from kit.net import (Blackhole, Server, dial, echo, free_port, is_closed, pattern, read_all,
                     read_exactly)
from kit.wait import until


def listener(*protocols, **more):
    return {"name": "main", "address": "127.0.0.1:0", "protocols": list(protocols)} | more


@pytest.fixture
def trust(certificate):
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.check_hostname = False
    return context


def client_hello(name="a.test", **options):
    """The bytes of a ClientHello as Python's TLS writes them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if options.get("alpn"):
        context.set_alpn_protocols(options["alpn"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def padded(hello, length):
    """The same with a padding extension (RFC 7685) of `length` bytes at the end."""
    body = bytearray(hello[9:])
    at = 34 + 1 + body[34]  # behind the session id
    at += 2 + struct.unpack_from("!H", body, at)[0]  # and the cipher suites
    at += 1 + body[at]  # and the compression methods: the extensions' length
    body += struct.pack("!HH", 21, length) + bytes(length)
    struct.pack_into("!H", body, at, len(body) - at - 2)
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


def in_records(hello, size):
    """The same handshake message in records of `size` bytes."""
    body = hello[5:]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(piece)) + piece for piece in
                    (body[i:i + size] for i in range(0, len(body), size)))



@pytest.fixture
def backends(servers):
    names = (b"one", b"two", b"rest")
    return {n: servers.serve(lambda sock, _no, n=n: (sock.sendall(n), echo(sock))) for n in names}


@pytest.fixture
def by_sni(sluice, backends):
    return sluice({"listeners": [listener("http", "tls")], "routes": [
        {"name": "one", "sni": ["one.test"], "to": [backends[b"one"].name]},
        {"name": "two", "sni": [".two.test", "*.two2.test"], "to": [backends[b"two"].name]}]})


# TLS by SNI

def test_tls_end_to_end(sluice, tls_origin, curl, certificate):
    """P1 P8: a TLS connection passes to its route unopened: the origin's own certificate is seen."""
    proxy = sluice({"listeners": [listener("tls")], "routes": [
        {"sni": ["www.test"], "to": [tls_origin.name]}]})
    host, port = proxy.address
    out = curl("--cacert", certificate[0], "--connect-to", f"www.test:443:{host}:{port}",
               "https://www.test/bytes/3000000", text=False)
    assert out == pattern(3000000)
    record = proxy.access()
    assert record["protocol"] == "tls"
    assert record["route"] == "route-1"
    assert record["bytes_spliced"] > 0


@pytest.mark.parametrize("name,expected", [
    ("one.test", b"one"), ("ONE.test", b"one"), ("two.test", b"two"), ("a.b.two.test", b"two"),
    ("x.two2.test", b"two"), ("two2.test", b""), ("other.test", b""), ("one.test.evil", b"")])
def test_sni(by_sni, backends, name, expected):
    """P1: exact names, suffixes, names below; no route: closed."""
    sock = dial(by_sni.address)
    hello = client_hello(name)
    sock.sendall(hello)
    if expected:
        assert read_exactly(sock, len(expected)) == expected
        assert read_exactly(sock, len(hello)) == hello, "not a byte is consumed"
    else:
        assert is_closed(sock)
        assert by_sni.access()["reason"] == "no_route"
    sock.close()
    assert backends


@pytest.mark.parametrize("size", [1, 2, 5, 16, 100])
def test_hello_in_segments(by_sni, size):
    """P1: a ClientHello that trickles in over many segments."""
    hello = client_hello("one.test", alpn=["h2", "http/1.1"])
    sock = dial(by_sni.address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for i in range(0, len(hello), size):
        sock.sendall(hello[i:i + size])
        time.sleep(0.0005)
    assert read_exactly(sock, 3) == b"one"
    assert read_exactly(sock, len(hello)) == hello


@pytest.mark.parametrize("size", [1, 3, 37, 200])
def test_hello_in_records(by_sni, size):
    """P1: and over many TLS records."""
    hello = in_records(client_hello("one.test"), size)
    sock = dial(by_sni.address)
    sock.sendall(hello)
    assert read_exactly(sock, 3) == b"one"
    assert read_exactly(sock, len(hello)) == hello


def test_large_hello(by_sni):
    """P1: a large one (as with post-quantum key shares) of several segments."""
    hello = padded(client_hello("one.test"), 9000)
    sock = dial(by_sni.address)
    sock.sendall(hello)
    assert read_exactly(sock, 3 + len(hello)) == b"one" + hello


def test_no_sni(by_sni):
    """P1: without a name, and no route that takes it: closed with its own reason."""
    hello = client_hello("one.test")
    at = hello.index(b"one.test") - 9
    other = hello[:at] + b"\xff\xee" + hello[at + 2:]  # another extension's number
    sock = dial(by_sni.address)
    sock.sendall(other)
    assert is_closed(sock)
    assert by_sni.access()["reason"] == "tls_no_sni"


def test_tls_default_route(sluice, backends):
    """P1: a route without names takes what no other takes."""
    proxy = sluice({"listeners": [listener("tls")], "routes": [
        {"sni": ["one.test"], "to": [backends[b"one"].name]},
        {"protocols": ["tls"], "to": [backends[b"rest"].name]}]})
    for name, expected in (("one.test", b"one"), ("x.test", b"rest")):
        sock = dial(proxy.address)
        sock.sendall(client_hello(name))
        assert read_exactly(sock, len(expected)) == expected


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",  # no ClientHello
    b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\xff\xff" + b"\x01" * 100,
    b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00"])
def test_bad_hello(by_sni, data):
    """P1 Q2: what cannot be a ClientHello is closed."""
    sock = dial(by_sni.address)
    sock.sendall(data)
    assert is_closed(sock)
    assert by_sni.access()["reason"] in ("tls_malformed", "protocol_refused")


def test_endless_hello(sluice):
    """P1 Q2: a ClientHello that never ends is bounded and closed at the deadline."""
    proxy = sluice({"listeners": [listener("tls")], "timeouts": {"admission": "600ms"},
                    "routes": [{"sni": ["one.test"], "to": ["127.0.0.1:1"]}]})
    sock = dial(proxy.address)
    try:
        for _ in range(200):
            sock.sendall(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"[:9])
            time.sleep(0.01)
    except OSError:
        pass
    assert is_closed(sock)
    assert proxy.access()["reason"] in ("tls_malformed", "admission_timeout")


def test_tls_where_it_is_not_taken(sluice):
    """P1: TLS on a listener without it is closed."""
    proxy = sluice()
    sock = dial(proxy.address)
    sock.sendall(client_hello())
    assert is_closed(sock)
    assert proxy.access()["reason"] == "protocol_refused"


# Everything on one port

def test_one_port_for_all(sluice, backends, origin, curl, trust, tls_origin):
    """P1: HTTP, SOCKS, TLS and raw TCP at one address, each recognised."""
    proxy = sluice({"listeners": [listener("http", "socks4", "socks5", "tls", "tcp")], "routes": [
        {"sni": ["www.test"], "to": [tls_origin.name]},
        {"protocols": ["tcp"], "to": [backends[b"rest"].name]}]})
    for kind in ("http", "socks4", "socks5"):
        curl("-f", "-x", proxy.url(kind), origin.url())
    with trust.wrap_socket(dial(proxy.address), server_hostname="www.test") as tls:
        tls.sendall(b"GET /bytes/5 HTTP/1.1\r\nHost: www.test\r\nConnection: close\r\n\r\n")
        assert read_all(tls).endswith(pattern(5))
    for data in (b"\0\0\0\x08\x04\xd2\x16\x2f", b"SSH-2.0-x\r\n", b"*1\r\n$4\r\nPING\r\n", b"\xff\xfe"):
        sock = dial(proxy.address)
        sock.sendall(data)
        assert read_exactly(sock, 4 + len(data)) == b"rest" + data
        sock.close()
    protocols = sorted(r["protocol"] for r in proxy.wait_access(count=8))
    assert protocols == ["http", "socks4", "socks5", "tcp", "tcp", "tcp", "tcp", "tls"]


# Raw TCP

def test_raw_tcp(sluice, echo_server):
    """P8: a listener for raw TCP needs no first byte to know where to go."""
    proxy = sluice({"listeners": [listener("tcp")], "routes": [{"to": [echo_server.name]}]})
    sock = dial(proxy.address)
    echo_server.wait_connections(1)
    for size in (1, 1000, 500000):
        thread = threading.Thread(target=sock.sendall, args=(pattern(size),))
        thread.start()
        assert read_exactly(sock, size) == pattern(size)
        thread.join()


def test_server_speaks_first_at_once(sluice, servers):
    """P1: on a listener for raw TCP alone there is no wait."""
    server = servers.serve(lambda sock, _n: (sock.sendall(b"220 hello\r\n"), read_all(sock)))
    proxy = sluice({"listeners": [listener("tcp")], "routes": [{"to": [server.name]}]})
    began = time.monotonic()
    sock = dial(proxy.address)
    assert read_exactly(sock, 11) == b"220 hello\r\n"
    assert time.monotonic() - began < 0.3


def test_server_speaks_first_after_a_wait(sluice, servers, origin):
    """P1: beside other protocols a silent client is taken for one after the configured wait."""
    server = servers.serve(lambda sock, _n: (sock.sendall(b"220 hello\r\n"), read_all(sock)))
    proxy = sluice({"listeners": [listener("http", "socks5", "tcp", server_first_wait="300ms")],
                    "routes": [{"protocols": ["tcp"], "to": [server.name]}]})
    began = time.monotonic()
    sock = dial(proxy.address)
    assert read_exactly(sock, 11) == b"220 hello\r\n"
    assert 0.25 < time.monotonic() - began < 1.5
    with Client(proxy.address) as client:
        assert client.get(origin.url()).status == 200


def test_without_the_wait(sluice, servers):
    """P1: without it, silence ends at the admission deadline."""
    server = servers.serve(echo)
    proxy = sluice({"listeners": [listener("http", "tcp")], "timeouts": {"admission": "400ms"},
                    "routes": [{"protocols": ["tcp"], "to": [server.name]}]})
    assert is_closed(dial(proxy.address), 3)
    assert proxy.access()["reason"] == "admission_timeout"
    assert not server.connections


def test_rotation_and_failover(sluice, servers):
    """P8: targets are taken in rotation; the next one when one does not answer."""
    live = [servers.serve(lambda sock, _n, i=i: sock.sendall(b"%d" % i)) for i in range(2)]
    hole = servers.add(Blackhole())
    dead = f"127.0.0.1:{free_port()}"
    proxy = sluice({"workers": 1, "listeners": [listener("tcp")], "timeouts": {"connect": "3s"},
                    "routes": [{"to": [live[0].name, dead, live[1].name]}]})
    got = [read_all(dial(proxy.address)) for _ in range(6)]
    assert set(got) == {b"0", b"1"}
    proxy = sluice({"listeners": [listener("tcp")], "timeouts": {"connect": "4s"},
                    "routes": [{"to": [hole.name, live[0].name]}]})
    began = time.monotonic()
    assert [read_all(dial(proxy.address)) for _ in range(2)] == [b"0", b"0"]
    assert time.monotonic() - began < 5


def test_no_target(sluice):
    """P8: a raw client of a dead target gets a reset, not a clean end."""
    proxy = sluice({"listeners": [listener("tcp")], "routes": [{"to": [f"127.0.0.1:{free_port()}"]}]})
    sock = dial(proxy.address)
    with pytest.raises(ConnectionResetError):
        sock.sendall(b"x")
        while True:
            if not sock.recv(1):
                break
            sock.sendall(b"x")
    assert proxy.access()["reason"] == "connect_refused"


def test_route_by_name(sluice, dns, servers):
    """P8 B6: a target may be a name, resolved when it is needed."""
    server = Server(echo)
    servers.add(server)
    dns.zone["db.test"] = ["127.0.0.1"]
    proxy = sluice({"dns": {"servers": [dns.name]}, "listeners": [listener("tcp")],
                    "routes": [{"to": [f"db.test:{server.port}"]}]})
    sock = dial(proxy.address)
    sock.sendall(b"x")
    assert sock.recv(1) == b"x"


def test_http_routes(sluice, servers):
    """P1 H1: several origins by Host, keep-alive across them."""
    one, two = servers.add(Origin()), servers.add(Origin())
    proxy = sluice({"routes": [{"hosts": ["one.test"], "to": [one.name]},
                               {"hosts": ["*.two.test"], "to": [two.name]}]})
    with Client(proxy.address) as client:
        for _ in range(2):
            for host in ("one.test", "a.two.test", "one.test:8080"):
                client.request("GET /bytes/5 HTTP/1.1", [f"Host: {host}"])
                assert client.response().body == pattern(5)
    assert len(one.requests) == 4
    assert len(two.requests) == 2
    assert two.last().get("host") == "a.two.test"


def test_websocket_to_a_route(sluice, origin):
    """P8 P2: Upgrade through an origin-form route."""
    proxy = sluice({"routes": [{"hosts": ["ws.test"], "to": [origin.name]}]})
    with Client(proxy.address) as client:
        client.request("GET /upgrade HTTP/1.1", ["Host: ws.test", "Connection: upgrade",
                                                 "Upgrade: echo/1"])
        assert client.response().status == 101
        client.send(b"hello")
        assert client.stream.exactly(5) == b"hello"


# HTTP/2

def test_http2_is_refused_clearly(sluice):
    """P1: the HTTP/2 preface gets SETTINGS and GOAWAY with a reason that a person can read."""
    proxy = sluice()
    sock = dial(proxy.address)
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
    data = read_all(sock)
    sock.close()
    assert data[3] == 4, "SETTINGS first"
    assert data[9 + 3] == 7, "then GOAWAY"
    assert struct.unpack("!I", data[9 + 9 + 4:9 + 9 + 8])[0] == 13, "HTTP_1_1_REQUIRED"
    assert b"HTTP/1.1" in data
    assert proxy.access()["reason"] == "http2_unsupported"


def test_http2_by_curl(sluice, origin, curl):
    """P1: curl with prior knowledge fails fast."""
    proxy = sluice({"routes": [{"hosts": ["localhost"], "to": [origin.name]}]})
    done = curl("--http2-prior-knowledge", f"http://localhost:{proxy.port}/json", check=False)
    assert done.returncode != 0
    assert until(lambda: proxy.accesses.read(), what="the log")[0]["reason"] == "http2_unsupported"
