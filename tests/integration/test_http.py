# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 semantics through the forward proxy (P2), byte by byte."""

import json
import socket
import threading
import time

import pytest

from kit.http import Client, Origin, read_response
from kit.net import free_port, pattern, reset
from kit.wait import until


@pytest.fixture
def proxy(sluice):
    return sluice()


@pytest.fixture
def client(proxy):
    with Client(proxy.address) as one:
        yield one


def names(message):
    return [n.lower() for n, _ in message.fields]


# Connections

def test_keep_alive_on_both_sides(proxy, client, origin):
    """P2: many requests on one client connection go over one pooled origin connection."""
    for number in range(1, 6):
        said = client.get(origin.url()).json
        assert said["connection"] == 1
        assert said["number"] == number
    assert len(proxy.wait_access(count=5)) == 5
    assert [r["request"] for r in proxy.accesses.records] == [1, 2, 3, 4, 5]
    assert len({r["session"] for r in proxy.accesses.records}) == 1


def test_pool_is_shared_by_clients(sluice, origin):
    """P2: another client's request reuses the idle connection."""
    proxy = sluice({"workers": 1})
    for number in range(1, 4):
        with Client(proxy.address) as client:
            said = client.get(origin.url()).json
            assert (said["connection"], said["number"]) == (1, number)


def test_pool_keeps_destinations_apart(client, servers):
    """P2: a pooled connection is only used for the very host and port it was made for."""
    first, second = servers.add(Origin()), servers.add(Origin())
    for _ in range(2):
        for server in (first, second):
            said = client.get(server.url()).json
            assert said["connection"] == 1
    assert len(first.requests) == len(second.requests) == 2


def test_connection_close_of_client(client, origin):
    """P2: Connection: close is honoured and not passed on."""
    response = client.get(origin.url(), "Connection: close")
    assert response.get("connection", "").lower() == "close"
    assert client.is_closed()
    assert "close" not in (origin.last().get("connection") or "").lower()


def test_http10_client(client, origin):
    """P2: for HTTP/1.0 chunked becomes plain; a proxy keeps no such connection (RFC 9112, 9.3)."""
    client.request(f"GET {origin.url('/chunked/5000')} HTTP/1.0", ["Connection: keep-alive"])
    response = client.response()
    assert response.get("transfer-encoding") is None
    assert response.body == pattern(5000)
    assert client.is_closed()
    assert origin.last().version == "HTTP/1.1"


def test_pipelining(client, origin):
    """P2: requests sent at once are answered in order, bodies kept apart."""
    sizes = [10, 50000, 0, 3, 200000]
    for i, size in enumerate(sizes):
        body = b"x" * i
        client.request(f"POST {origin.url(f'/bytes/{size}')} HTTP/1.1",
                       [f"Host: {origin.name}", f"Content-Length: {i}"], body)
    for size in sizes:
        assert client.response().body == pattern(size)
    assert [r.body for r in origin.requests] == [b"x" * i for i in range(len(sizes))]


def test_pipelined_many(client, origin):
    """P2: a long pipeline in small pieces."""
    one = f"GET {origin.url('/bytes/7')} HTTP/1.1\r\nHost: {origin.name}\r\n\r\n".encode()
    data = one * 200
    for at in range(0, len(data), 997):
        client.send(data[at:at + 997])
    for _ in range(200):
        assert client.response().body == pattern(7)


def test_head_in_single_bytes(client, origin):
    """P1 P2: a request that trickles byte by byte is taken."""
    for byte in f"GET {origin.url('/bytes/5')} HTTP/1.1\r\nHost: {origin.name}\r\n\r\n".encode():
        client.send(bytes([byte]))
        time.sleep(0.001)
    assert client.response().body == pattern(5)


# Bodies

@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65536, 1000000, 5000001])
def test_response_bodies(client, origin, size):
    """P2: with a length, chunked with trailers, and until close."""
    response = client.get(origin.url(f"/bytes/{size}"))
    assert response.body == pattern(size)
    response = client.get(origin.url(f"/chunked/{size}"), "TE: trailers")
    assert response.body == pattern(size)
    assert dict(response.trailers) == {"X-Sum": "abc", "X-Sent": str(size)}
    assert response.get("trailer")
    response = client.get(origin.url(f"/until-close/{size}"))
    assert response.body == pattern(size)


@pytest.mark.parametrize("size", [0, 1, 1000, 100000, 3000000])
def test_request_bodies(client, origin, size):
    """P2: uploads with a length and in chunks with trailers."""
    response = client.get(origin.url("/echo"), f"Content-Length: {size}", method="POST",
                          body=pattern(size))
    assert response.body == pattern(size)
    client.request(f"POST {origin.url('/json')} HTTP/1.1",
                   [f"Host: {origin.name}", "Transfer-Encoding: chunked", "Trailer: X-Check"])
    at = 0
    while at < size:
        piece = min(7001, size - at)
        client.send(b"%X;a=b\r\n" % piece + pattern(piece, at) + b"\r\n")
        at += piece
    client.send(b"0\r\nX-Check: fine\r\n\r\n")
    said = client.response().json
    assert said["length"] == size
    assert said["trailers"] == [["X-Check", "fine"]]
    assert origin.last().body == pattern(size)
    # the connection is still in step
    assert client.get(origin.url("/bytes/3")).body == pattern(3)


def test_chunks_flow_at_once(client, origin):
    """P2: a chunk is passed on when it comes, not when the body is complete."""
    def trickle(stream, request):
        stream.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        origin.released.wait(5)
        stream.sock.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
        return request is not None
    origin.routes["/trickle"] = trickle
    client.request(f"GET {origin.url('/trickle')} HTTP/1.1", [f"Host: {origin.name}"])
    stream = client.stream
    assert b"200" in stream.line()
    stream.until(b"\r\n\r\n")
    assert stream.until(b"first\r\n").endswith(b"5\r\nfirst\r\n")
    origin.released.set()
    assert stream.until(b"0\r\n\r\n").endswith(b"6\r\nsecond\r\n0\r\n\r\n")


def test_request_body_flows_at_once(client, origin):
    """P2: content goes up as it comes."""
    seen = []

    def take(stream, request):
        seen.append(stream.exactly(5))
        stream.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return request is None
    origin.routes["/take"] = take
    client.request(f"POST {origin.url('/take')} HTTP/1.1",
                   [f"Host: {origin.name}", "Content-Length: 1000"], b"first")
    assert client.response().status == 200
    assert seen == [b"first"]


# 1xx, Expect, no content

def test_expect_continue(client, origin):
    """P2: Expect goes to the origin, whose 100 comes back before the body is sent."""
    client.request(f"POST {origin.url('/echo')} HTTP/1.1",
                   [f"Host: {origin.name}", "Expect: 100-continue", "Content-Length: 5"])
    assert client.stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    client.send(b"hello")
    assert client.response().body == b"hello"
    assert origin.last().get("expect") == "100-continue"


def test_expect_refused(client, origin):
    """P2: a final answer instead of 100, the body never sent: the answer comes."""
    client.request(f"POST {origin.url('/early')} HTTP/1.1",
                   [f"Host: {origin.name}", "Expect: 100-continue", "Content-Length: 5"])
    response = client.response()
    assert response.status == 413
    assert not response.interim


def test_expect_of_curl(proxy, origin, curl, folder):
    """P2: curl asks with Expect for a large body."""
    file = folder / "large"
    file.write_bytes(pattern(2 << 20))
    out = curl("-x", proxy.url(), "-H", "Expect: 100-continue", "-d", f"@{file}",
               origin.url("/json"))
    assert json.loads(out)["method"] == "POST"


def test_early_hints(client, origin):
    """P2: 103 is passed on to an HTTP/1.1 client, not to HTTP/1.0."""
    response = client.get(origin.url("/hints"))
    assert [i.status for i in response.interim] == [103]
    assert response.interim[0].get("link")
    assert response.body == b"hinted"
    client.request(f"GET {origin.url('/hints')} HTTP/1.0")
    response = client.response()
    assert not response.interim
    assert response.body == b"hinted"


@pytest.mark.parametrize("path", ["/bytes/50", "/chunked/50", "/until-close/0"])
def test_head_method(client, origin, path):
    """P2: HEAD has the fields and no body; the connection stays in step."""
    response = client.get(origin.url(path), method="HEAD")
    assert response.status == 200
    if path == "/bytes/50":
        assert response.get("content-length") == "50"
    if path != "/until-close/0":
        assert client.get(origin.url("/bytes/4")).body == pattern(4)


@pytest.mark.parametrize("status", [204, 304])
def test_no_content(client, origin, status):
    """P2: 204 and 304 have no body."""
    assert client.get(origin.url(f"/status/{status}")).status == status
    assert client.get(origin.url("/bytes/4")).body == pattern(4)


@pytest.mark.parametrize("status", [200, 201, 299, 301, 400, 404, 418, 429, 500, 503, 599, 999])
def test_statuses_pass(client, origin, status):
    """P2: the origin's status is its own."""
    assert client.get(origin.url(f"/status/{status}")).status == status


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND",
                                    "X-OWN", "QUERY"])
def test_methods_pass(client, origin, method):
    """P1 P2: any method, known or not."""
    response = client.get(origin.url(), "Content-Length: 0", method=method)
    assert response.json["method"] == method


# Fields

def test_hop_by_hop_fields_stay(client, origin):
    """P2: hop-by-hop fields and those that Connection lists are removed in both directions."""
    def answer(stream, request):
        origin.reply(stream, request, fields=[
            "Connection: X-Private, keep-alive", "X-Private: 1", "Keep-Alive: timeout=5",
            "Proxy-Authenticate: Basic", "Proxy-Connection: x", "X-Public: 2"])
        return True
    origin.routes["/own"] = answer
    response = client.get(origin.url("/own"), "Connection: X-Secret, close-not, TE", "X-Secret: 1",
                          "Keep-Alive: timeout=1", "Proxy-Connection: keep-alive", "TE: trailers",
                          "Proxy-Authorization: Basic eDp5", "X-Kept: yes", "Upgrade: nothing")
    sent = names(origin.last())
    for field in ("x-secret", "keep-alive", "proxy-connection", "proxy-authorization", "upgrade"):
        assert field not in sent, field
    assert "x-kept" in sent
    got = names(response)
    for field in ("x-private", "keep-alive", "proxy-connection"):
        assert field not in got, field
    assert "x-public" in got


def test_end_to_end_fields_untouched(client, origin):
    """P2: order, case and repetition of other fields are kept."""
    fields = ["X-b: 1", "x-B: 2", "Accept:  */* ", "Cookie: a=b; c=d", "Cookie: e", "X-Empty:",
              "X-Bytes: \xe4\xf6"]
    client.get(origin.url(), *fields)
    sent = [(n, v) for n, v in origin.last().fields
            if n.lower() in ("x-b", "accept", "cookie", "x-empty", "x-bytes")]
    assert sent == [("X-b", "1"), ("x-B", "2"), ("Accept", "*/*"), ("Cookie", "a=b; c=d"),
                    ("Cookie", "e"), ("X-Empty", ""), ("X-Bytes", "\xe4\xf6")]


def test_via(client, origin):
    """P2: Via grows in both directions."""
    response = client.get(origin.url(), "Via: 1.0 before")
    assert ", ".join(origin.last().all("via")) == "1.0 before, 1.1 sluice"
    assert response.get("via") == "1.1 sluice"


def test_forwarded(sluice, origin):
    """P2: the client's address is told when asked for, and what the client claims is dropped."""
    for how, field, value in (("on", "forwarded", "for=127.0.0.1"),
                              ("x-forwarded-for", "x-forwarded-for", "127.0.0.1")):
        proxy = sluice({"http": {"forwarded": how, "via": ""}})
        with Client(proxy.address) as client:
            client.get(origin.url(), "Forwarded: for=6.6.6.6", "X-Forwarded-For: 6.6.6.6")
        assert origin.last().all(field) == [value]
        assert origin.last().get("via") is None


def test_target_forms(client, origin):
    """P2: the origin gets origin-form and a Host made from the target."""
    client.request(f"GET http://{origin.name}/json?q=1&r=%20 HTTP/1.1", ["Host: other.test"])
    said = client.response().json
    assert said["target"] == "/json?q=1&r=%20"
    assert dict(said["fields"])["Host"] == origin.name
    client.request(f"GET HTTP://{origin.name} HTTP/1.1", [f"Host: {origin.name}"])
    assert client.response().json["target"] == "/"
    client.request(f"GET http://{origin.name}?x HTTP/1.1", [f"Host: {origin.name}"])
    assert client.response().json["target"] == "/?x"
    client.request(f"OPTIONS http://{origin.name} HTTP/1.1", [f"Host: {origin.name}"])
    assert client.response().json["target"] == "*"


def test_max_forwards(client, origin):
    """P2: OPTIONS and TRACE with Max-Forwards: 0 end here; else it is counted down."""
    response = client.get(origin.url(), "Max-Forwards: 0", method="OPTIONS")
    assert response.status == 200
    assert not origin.requests
    client.get(origin.url(), "Max-Forwards: 5", method="OPTIONS")
    assert origin.last().get("max-forwards") == "4"


# Upgrade

def test_upgrade(proxy, client, origin):
    """P2 P8: after the 101, and only then, bytes pass both ways."""
    client.request(f"GET {origin.url('/upgrade')} HTTP/1.1",
                   [f"Host: {origin.name}", "Connection: Upgrade", "Upgrade: echo/1"])
    response = client.response()
    assert response.status == 101
    assert response.get("upgrade") == "echo/1"
    assert response.get("connection").lower() == "upgrade"
    data = pattern(100000)
    client.send(data)
    assert client.stream.exactly(len(data)) == data
    client.sock.shutdown(socket.SHUT_WR)
    assert client.stream.rest() == b""
    record = proxy.access(protocol="upgrade")
    assert record["bytes_up"] >= 100000


def test_bytes_right_behind_an_upgrade_request(client, origin):
    """P2: what follows the request goes to the new protocol after 101."""
    client.request(f"GET {origin.url('/upgrade')} HTTP/1.1",
                   [f"Host: {origin.name}", "Connection: Upgrade", "Upgrade: echo/1"], b"early")
    assert client.response().status == 101
    assert client.stream.exactly(5) == b"early"


def test_upgrade_refused_by_origin(client, origin):
    """P2: without a 101 it stays HTTP: what follows is the next request."""
    client.request(f"GET {origin.url('/bytes/3')} HTTP/1.1",
                   [f"Host: {origin.name}", "Connection: Upgrade", "Upgrade: echo/1"])
    client.request(f"GET {origin.url('/bytes/6')} HTTP/1.1", [f"Host: {origin.name}"])
    assert client.response().body == pattern(3)
    assert client.response().body == pattern(6)


def test_unasked_101_is_an_error(client, origin):
    """P2 Q2: a 101 that nobody asked for opens no tunnel."""
    assert client.get(origin.url("/switch-unasked")).status == 502


# Errors and their texts

def test_refused_destination(proxy, client):
    """P2: 502 with a short human text when nobody listens; the connection goes on."""
    response = client.get(f"http://127.0.0.1:{free_port()}/")
    assert response.status == 502
    assert b"refused" in response.body
    assert response.get("content-type").startswith("text/plain")
    assert proxy.access(status=502)["reason"] == "connect_refused"
    assert client.get(f"http://127.0.0.1:{free_port()}/").status == 502


def test_connect_refused_destination(proxy, client):
    """P2: CONNECT answers only after the upstream is connected: 502 here."""
    assert client.connect(f"127.0.0.1:{free_port()}").status == 502
    client.close()
    proxy.stop()
    assert [r["reason"] for r in proxy.accesses.read()] == ["connect_refused"]


def test_one_line_for_each(proxy, origin, echo_server):
    """O2: requests, a refused and a working CONNECT on one connection: a line each, in order."""
    with Client(proxy.address) as client:
        client.get(origin.url())
        client.connect(f"127.0.0.1:{free_port()}")
        client.get(origin.url("/status/404"))
        client.connect(echo_server.name)
        client.send(b"ping")
        assert client.stream.exactly(4) == b"ping"
    proxy.wait_access(count=4)
    proxy.stop()
    lines = proxy.accesses.read()
    assert [(r["protocol"], r.get("status"), r["reason"]) for r in lines] == [
        ("http", 200, "done"), ("connect", 502, "connect_refused"), ("http", 404, "done"),
        ("connect", None, "client_eof")]


def test_origin_form_without_route(client):
    """P2 H1: 404 for a request that names no destination and finds no route."""
    client.request("GET /path HTTP/1.1", ["Host: somewhere.test"])
    assert client.response().status == 404


def test_garbage_answer(proxy, client, origin):
    """Q2: an answer that is no HTTP is a 502."""
    assert client.get(origin.url("/garbage")).status == 502
    assert proxy.access(status=502)["reason"] == "upstream_malformed"


def test_no_answer(proxy, client, origin):
    """Q2: closed without a byte: 502."""
    assert client.get(origin.url("/no-answer")).status == 502
    assert proxy.access(status=502)["reason"] == "upstream_aborted"


def test_slow_answer(sluice, origin):
    """P2: 504 when the destination does not answer within the idle time."""
    proxy = sluice({"timeouts": {"idle": "300ms"}})
    with Client(proxy.address) as client:
        assert client.get(origin.url("/hang")).status == 504
    assert proxy.access(status=504)["reason"] == "upstream_timeout"


@pytest.mark.parametrize("size", [100, 200000])
@pytest.mark.parametrize("how", ["abort", "reset"])
def test_upstream_ends_in_the_middle(proxy, client, origin, how, size):
    """Q2: a body cut short is never passed off as complete: the client's connection is reset."""
    client.request(f"GET {origin.url(f'/{how}/{size}')} HTTP/1.1", [f"Host: {origin.name}"])
    with pytest.raises((EOFError, ConnectionResetError)):
        client.response()
    record = proxy.access(status=200)
    assert record["reason"] in ("upstream_aborted", "upstream_reset")


def test_chunked_body_cut_short(client, origin):
    """Q2: the same for chunks: no last chunk is invented."""
    def cut(stream, _request):
        stream.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        return False
    origin.routes["/cut"] = cut
    client.request(f"GET {origin.url('/cut')} HTTP/1.1", [f"Host: {origin.name}"])
    data = client.stream.rest()
    assert b"0\r\n\r\n" not in data


@pytest.mark.parametrize("how", ["reset", "close"])
def test_client_leaves_during_download(proxy, origin, servers, how):
    """Q2: a client that goes away ends the upstream connection soon."""
    client = Client(proxy.address)
    client.request(f"GET {origin.url('/bytes/50000000')} HTTP/1.1", [f"Host: {origin.name}"])
    client.stream.exactly(100000)
    if how == "reset":
        reset(client.sock)
    else:
        client.close()
    record = proxy.wait_access(seconds=5)[0]
    assert record["reason"] == "client_reset"
    assert until(lambda: origin.errors, 5, "the origin's write to fail")
    assert servers


def test_client_leaves_while_waiting(proxy, origin):
    """Q2: a reset while the origin thinks ends the exchange."""
    client = Client(proxy.address)
    client.request(f"GET {origin.url('/hang')} HTTP/1.1", [f"Host: {origin.name}"])
    until(lambda: origin.requests, what="the request")
    reset(client.sock)
    assert proxy.wait_access(seconds=5)[0]["reason"] == "client_reset"


def test_client_leaves_during_upload(proxy, origin):
    """Q2: half a body is not passed off as a whole one."""
    client = Client(proxy.address)
    client.request(f"POST {origin.url('/echo')} HTTP/1.1",
                   [f"Host: {origin.name}", "Content-Length: 100000"], b"x" * 50000)
    until(lambda: origin.requests, what="the request")
    client.close()
    assert proxy.wait_access(seconds=5)[0]["reason"] in ("client_aborted", "client_reset")
    until(lambda: origin.errors, 5, "the origin's reading to fail")


def test_early_response_to_an_upload(client, origin):
    """P2: an answer before the end of the body reaches the client, who stops or goes on."""
    client.request(f"POST {origin.url('/early')} HTTP/1.1",
                   [f"Host: {origin.name}", "Content-Length: 50000000"], b"x" * 100000)
    response = client.response()
    assert response.status == 413
    assert response.body == b"no"


# Stale pooled connections

def test_stale_pooled_connection_is_noticed(client, origin):
    """P2: a pooled connection that the origin closed is not used."""
    for _ in range(5):
        assert client.get(origin.url("/close-after")).body == b"bye"
        time.sleep(0.05)
    assert client.get(origin.url("/bytes/3")).body == pattern(3)


def test_request_repeated_once_on_a_stale_connection(client, origin):
    """P2: a kept connection that dies when it is used again: GET is repeated on a fresh one."""
    def once_then_cut(stream, request):
        if request.number > 1:
            return False  # read the request, say nothing
        origin.reply(stream, request, body=b"ok")
        return True
    origin.routes["/cut"] = once_then_cut
    for _ in range(4):
        response = client.get(origin.url("/cut"))
        assert (response.status, response.body) == (200, b"ok")
    # each request after the first was tried on the kept connection, then on a new one
    assert [(r.connection, r.number) for r in origin.requests] == \
        [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1)]


def test_repeated_only_once(client, servers):
    """P2: no second repetition, and none for what has an effect."""
    posts = []

    def handle(stream, request):
        if request.method == "POST":
            posts.append(request)
            return False
        return origin.do_json(stream, request, "") is not False
    origin = servers.add(Origin())
    origin.routes["/post"] = handle
    assert client.get(origin.url()).status == 200
    client.request(f"POST {origin.url('/post')} HTTP/1.1",
                   [f"Host: {origin.name}", "Content-Length: 4"], b"once")
    try:
        response = read_response(client.stream)
        assert response.status == 502
    except EOFError:
        pass  # closed without an answer: the client decides
    time.sleep(0.2)
    assert len(posts) == 1


def test_response_after_a_reset_of_sending(client, origin):
    """P2: an origin that answers and stops reading: the answer still arrives."""
    def refuse(stream, request):
        origin.reply(stream, request, status="403 No", body=b"denied", fields=["Connection: close"])
        return False
    origin.routes["/refuse"] = refuse
    client.request(f"POST {origin.url('/refuse')} HTTP/1.1",
                   [f"Host: {origin.name}", "Content-Length: 1000"], b"y" * 1000)
    assert client.response().status == 403


# Proxying loops and others

def test_loop_is_broken(sluice):
    """P2: a request back to the proxy itself does not go round for ever."""
    proxy = sluice({"timeouts": {"idle": "5s"}})
    with Client(proxy.address) as client:
        response = client.get(f"http://127.0.0.1:{proxy.port}/")
        assert response.status in (404, 508)


def endless(origin):
    """Gives the origin a path whose body ends only when the origin is released."""
    def answer(stream, _request):
        stream.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not origin.released.is_set():
            stream.sock.sendall(bytes(1 << 18))
        return False
    origin.routes["/endless"] = answer


def test_fairness(sluice, origin):
    """D4: one saturated download does not starve another client of the same worker."""
    endless(origin)
    proxy = sluice({"workers": 1})
    with Client(proxy.address) as bulk, Client(proxy.address) as small:
        bulk.request(f"GET {origin.url('/endless')} HTTP/1.1", [f"Host: {origin.name}"])
        bulk.stream.exactly(1000000)

        def drain():
            while not bulk.sock.recv(1 << 20).endswith(b"0\r\n\r\n"):
                pass
        reader = threading.Thread(target=drain, daemon=True)
        reader.start()
        worst = 0
        for _ in range(20):
            began = time.monotonic()
            assert small.get(origin.url("/bytes/3")).body == pattern(3)
            worst = max(worst, time.monotonic() - began)
        origin.released.set()
        reader.join(10)
        assert not reader.is_alive()
        assert worst < 0.5


def test_routed_host(sluice, origin):
    """H1 P2: an origin-form request goes to the route of its Host."""
    proxy = sluice({"routes": [{"name": "web", "hosts": ["web.test", ".more.test"],
                                "to": [origin.name]}]})
    with Client(proxy.address) as client:
        for host, status in (("web.test", 200), ("a.more.test", 200), ("other.test", 404)):
            client.request("GET /json HTTP/1.1", [f"Host: {host}"])
            response = client.response()
            assert response.status == status, host
            if status == 200:
                assert dict(response.json["fields"])["Host"] == host


def test_last_words_to_a_slow_reader(sluice, origin):
    """P2 Q2: a response that the client is slow to take is not followed by anything of the proxy's."""
    proxy = sluice({"timeouts": {"idle": "500ms"}})
    with Client(proxy.address, receive_buffer=4096) as client:
        client.request(f"GET {origin.url('/bytes/6000000')} HTTP/1.0")
        time.sleep(0.2)
        data = bytearray()
        client.sock.settimeout(5)
        try:
            while piece := client.sock.recv(1 << 16):
                data += piece
                time.sleep(0.002)
        except ConnectionResetError:
            pass
    body = bytes(data).partition(b"\r\n\r\n")[2]
    assert pattern(6000000).startswith(body)


def test_client_that_never_reads(sluice, origin):
    """D1 Q2: a client that takes nothing is closed after the idle time, and held little meanwhile."""
    endless(origin)
    proxy = sluice({"timeouts": {"idle": "1500ms"}, "workers": 1})
    before = proxy.memory_bytes()
    clients = [Client(proxy.address, receive_buffer=4096) for _ in range(20)]
    for client in clients:
        client.request(f"GET {origin.url('/endless')} HTTP/1.1", [f"Host: {origin.name}"])
    time.sleep(0.5)
    assert proxy.memory_bytes() - before < 20 * (1 << 20)
    assert len(proxy.wait_access(count=20, reason="idle_timeout")) == 20
    for client in clients:
        client.close()
