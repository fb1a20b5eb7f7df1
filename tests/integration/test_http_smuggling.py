# SPDX-License-Identifier: Apache-2.0
"""Bad HTTP over raw sockets (P2, Q2): 400 and close, and nothing of it reaches the origin."""

import time

import pytest

from kit.http import Client
from kit.net import pattern

SMUGGLED = b"GET http://ORIGIN/smuggled HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"


def post(*fields, body=b"", target="http://ORIGIN/json", version="HTTP/1.1", host=True):
    lines = [f"POST {target} {version}".encode()] + ([b"Host: ORIGIN"] if host else [])
    return b"\r\n".join(lines + list(fields)) + b"\r\n\r\n" + body


BAD = {
    # two answers to the question where the message ends
    "cl-te": post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "te-cl": post(b"Transfer-Encoding: chunked", b"Content-Length: 40", body=b"0\r\n\r\n"),
    "cl-cl": post(b"Content-Length: 0", b"Content-Length: 5", body=b"hello"),
    "cl-cl-same": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "cl-list": post(b"Content-Length: 5, 5", body=b"hello"),
    "cl-plus": post(b"Content-Length: +5", body=b"hello"),
    "cl-minus": post(b"Content-Length: -5", body=b"hello"),
    "cl-hex": post(b"Content-Length: 0x5", body=b"hello"),
    "cl-space": post(b"Content-Length: 5 5", body=b"hello"),
    "cl-empty": post(b"Content-Length:", body=b"hello"),
    "cl-huge": post(b"Content-Length: 99999999999999999999999", body=b"hello"),
    "cl-underscore": post(b"Content_Length: 5", b"Content-Length: 1_0", body=b"hello"),
    "te-te": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "te-not-last": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "te-twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "te-vertical-tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "te-quoted": post(b"Transfer-Encoding: \"chunked\"", body=b"0\r\n\r\n"),
    "te-obfuscated": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "te-empty": post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
    "te-in-1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version="HTTP/1.0"),
    "te-parameter": post(b"Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n"),
    # lines
    "bare-lf-line": post().replace(b"HTTP/1.1\r\n", b"HTTP/1.1\n"),
    "bare-lf-field": post(b"X: 1\nContent-Length: 5", body=b"hello"),
    "bare-lf-end": b"GET http://ORIGIN/json HTTP/1.1\r\nHost: ORIGIN\n\n",
    "bare-cr": post(b"X: 1\rContent-Length: 5"),
    "obs-fold": post(b"X: 1", b" folded: 2"),
    "obs-fold-tab": post(b"X: 1", b"\tContent-Length: 5"),
    "fold-first": b"GET http://ORIGIN/json HTTP/1.1\r\n Host: x\r\nHost: ORIGIN\r\n\r\n",
    "nul-value": post(b"X: a\0b"),
    "nul-name": post(b"X\0: a"),
    "control": post(b"X: a\x08b"),
    "space-before-colon": post(b"Content-Length : 5", body=b"hello"),
    "tab-before-colon": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "no-colon": post(b"Content-Length 5", body=b"hello"),
    "empty-name": post(b": 5"),
    "name-with-space": post(b"Content Length: 5"),
    "name-not-ascii": post(b"Content-Length\xa0: 5"),
    # the request line
    "two-spaces": post().replace(b"POST ", b"POST  ", 1),
    "tab-in-line": post().replace(b" HTTP/1.1", b"\tHTTP/1.1", 1),
    "space-in-target": post().replace(b"/json", b"/js on", 1),
    "nul-in-target": post().replace(b"/json", b"/js\0on", 1),
    "fragment": post().replace(b"/json", b"/json#x", 1),
    "no-version": b"GET http://ORIGIN/json\r\nHost: ORIGIN\r\n\r\n",
    "lower-version": post().replace(b"HTTP/1.1", b"http/1.1", 1),
    "odd-version": post().replace(b"HTTP/1.1", b"HTTP/1.1x", 1),
    "long-version": post().replace(b"HTTP/1.1", b"HTTP/1.10", 1),
    # who is meant
    "no-host": post(host=False),
    "two-hosts": post(b"Host: other.test"),
    "host-list": post(b"Host: ORIGIN, other.test", host=False),
    "host-path": post(b"Host: ORIGIN/x", host=False),
    "host-user": post(b"Host: a@ORIGIN", host=False),
    "target-user": post().replace(b"http://ORIGIN", b"http://user@ORIGIN", 1),
    "port-plus": post().replace(b"//ORIGIN/", b"//127.0.0.1:+80/", 1),
    "port-huge": post().replace(b"//ORIGIN/", b"//127.0.0.1:99999/", 1),
    "no-name": post().replace(b"//ORIGIN/", b"//:80/", 1),
    "bad-v6": post().replace(b"//ORIGIN/", b"//[::1/", 1),
    "connect-path": b"CONNECT ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",
    "connect-no-port": b"CONNECT localhost HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "connect-url": b"CONNECT http://ORIGIN/ HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",
    "connect-content": b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\nTransfer-Encoding: chunked\r\n\r\n",
}

OTHER = {  # not 400, but refused all the same
    "te-unknown": (501, post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    "version-3": (505, post().replace(b"HTTP/1.1", b"HTTP/3.0", 1)),
    "ftp": (501, post().replace(b"http://", b"ftp://", 1)),
    "long-target": (414, post().replace(b"/json", b"/" + b"a" * 20000, 1)),
    "long-field": (431, post(b"X: " + b"a" * 20000)),
    "many-fields": (431, post(*[b"X: 1"] * 200)),
    "large-head": (431, post(*[b"X: " + b"a" * 10000] * 9)),
}


def attack(proxy, origin, data):
    """Sends it with a whole request behind it; the status and whether the connection ended."""
    name = origin.name.encode()
    with Client(proxy.address) as client:
        try:
            client.send((data + SMUGGLED).replace(b"ORIGIN", name))
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = client.stream.rest()
        except TimeoutError:
            answer = b"(no end)"
    return answer


@pytest.fixture(scope="module")
def shared(tmp_path_factory):  # pylint: disable=unused-argument
    """One proxy and one origin for the whole table."""
    import shutil  # pylint: disable=import-outside-toplevel
    import tempfile  # pylint: disable=import-outside-toplevel
    from pathlib import Path  # pylint: disable=import-outside-toplevel

    from kit.http import Origin  # pylint: disable=import-outside-toplevel
    from kit.proxy import Proxy  # pylint: disable=import-outside-toplevel
    place = Path(tempfile.mkdtemp(prefix="sluice-test-"))
    place.chmod(0o777)
    proxy = Proxy(place, {}).wait_ready()
    origin = Origin()
    try:
        yield proxy, origin
        proxy.stop()
    finally:
        proxy.kill()
        origin.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(shared, name):
    """P2 Q2: one answer, 400, then the end; neither the bad request nor the one behind is sent on."""
    proxy, origin = shared
    seen = len(origin.requests)
    answer = attack(proxy, origin, BAD[name])
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    assert b"\r\nConnection: close\r\n" in answer
    head, _, text = answer.partition(b"\r\n\r\n")
    assert 10 < len(text) < 200, head
    assert len(origin.requests) == seen


@pytest.mark.parametrize("name", OTHER)
def test_refused_requests(shared, name):
    """P2 Q2: limits and what is not served, each with its own status."""
    proxy, origin = shared
    seen = len(origin.requests)
    status, data = OTHER[name]
    answer = attack(proxy, origin, data)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert answer.count(b"Content-Length: ") == 1, answer
    assert len(origin.requests) == seen


def test_no_http_at_all(shared):
    """P1 Q2: what is no HTTP is closed without an answer."""
    proxy, origin = shared
    seen = len(origin.requests)
    for data in (b"G{T http://ORIGIN/json HTTP/1.1\r\nHost: ORIGIN\r\n\r\n", b"\x00\x01\x02", b"hello\r\n"):
        assert attack(proxy, origin, data) == b""
    assert len(origin.requests) == seen
    assert len(proxy.wait_access(count=3, reason="protocol_refused")) == 3


BAD_CHUNKS = {
    "no-size": b"\r\nhello\r\n0\r\n\r\n",
    "not-hex": b"g\r\nhello\r\n0\r\n\r\n",
    "prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "space": b" 5\r\nhello\r\n0\r\n\r\n",
    "huge": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "too-short": b"3\r\nhello\r\n0\r\n\r\n",
    "bare-lf": b"5\nhello\r\n0\r\n\r\n",
    "bare-lf-end": b"5\r\nhello\n0\r\n\r\n",
    "lf-in-extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension-long": b"5;" + b"a" * 20000 + b"\r\nhello\r\n0\r\n\r\n",
    "bad-trailer": b"5\r\nhello\r\n0\r\nX : 1\r\n\r\n",
    "folded-trailer": b"5\r\nhello\r\n0\r\nX: 1\r\n y\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunks(shared, name):
    """P2 Q2: bad chunks end the exchange; the origin never sees a complete message, nor the next."""
    proxy, origin = shared
    complete = []
    origin.routes["/chunks"] = lambda stream, request: _take(stream, request, complete)
    with Client(proxy.address) as client:
        client.send((post(b"Transfer-Encoding: chunked", target="http://ORIGIN/chunks",
                          body=BAD_CHUNKS[name]) + SMUGGLED).replace(b"ORIGIN",
                                                                     origin.name.encode()))
        answer = client.stream.rest()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") <= 1
    time.sleep(0.02)
    assert not complete
    assert "/smuggled" not in [r.target for r in origin.requests]


def _take(stream, request, complete):
    from kit.http import read_body  # pylint: disable=import-outside-toplevel
    read_body(stream, request)
    complete.append(request)
    return False


def test_trailers_cannot_frame(shared):
    """P2: framing and routing fields in trailers do not pass."""
    proxy, origin = shared
    with Client(proxy.address) as client:
        client.send(post(b"Transfer-Encoding: chunked",
                         body=b"2\r\nhi\r\n0\r\nContent-Length: 9\r\nHost: x\r\nX-Fine: 1\r\n"
                              b"Transfer-Encoding: gzip\r\nAuthorization: x\r\n\r\n").replace(
                                  b"ORIGIN", origin.name.encode()))
        answer = client.response()
    if answer.status == 200:
        assert [n for n, _ in answer.json["trailers"]] == ["X-Fine"]
    else:
        assert answer.status == 400


BAD_RESPONSES = {
    "cl-te": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "cl-cl": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "fold": b"HTTP/1.1 200 OK\r\nX: 1\r\n Content-Length: 5\r\n\r\nhello",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "space-colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
    "status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "many": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
    "large": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 200000 + b"\r\n\r\n",
    "truncated": b"HTTP/1.1 200 OK\r\nContent-Le",
    "te-unknown": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: sneaky\r\n\r\nabc",
    "many-1xx": b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_RESPONSES)
def test_bad_responses(shared, name):
    """P2 Q2: a malformed response is never forwarded: 502, and its connection is not reused."""
    proxy, origin = shared

    def answer(stream, _request):
        stream.sock.sendall(BAD_RESPONSES[name])
        return name != "truncated"
    origin.routes["/bad"] = answer
    with Client(proxy.address) as client:
        response = client.get(origin.url("/bad"))
        assert response.status == 502, response.head
        before = origin.last().connection
        assert client.get(origin.url("/bytes/3")).body == pattern(3)
        assert origin.last().connection != before


def test_response_splitting(shared):
    """P2 Q2: bytes behind a response are not taken for the next one's."""
    proxy, origin = shared
    fake = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"

    def answer(stream, _request):
        stream.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue" + fake)
        return True
    origin.routes["/split"] = answer
    with Client(proxy.address) as client:
        assert client.get(origin.url("/split")).body == b"true"
        assert client.get(origin.url("/bytes/3")).body == pattern(3)


def test_late_bytes_on_a_pooled_connection(shared):
    """P2 Q2: what an origin says on an idle pooled connection is nobody's response."""
    proxy, origin = shared

    def answer(stream, request):
        origin.reply(stream, request, body=b"ok")
        time.sleep(0.05)
        stream.sock.sendall(b"HTTP/1.1 408 Timeout\r\nContent-Length: 4\r\n\r\nfake")
        return True
    origin.routes["/late"] = answer
    with Client(proxy.address) as client:
        assert client.get(origin.url("/late")).body == b"ok"
        time.sleep(0.15)
        assert client.get(origin.url("/bytes/3")).body == pattern(3)


def test_access_log_is_not_forged(shared):
    """O2 Q2: nothing that a peer wrote breaks a line of the log."""
    proxy, origin = shared
    with Client(proxy.address) as client:
        client.send(f"GET {origin.url()}/%0a%22{{\\x22 HTTP/1.1\r\nHost: {origin.name}\r\n"
                    f"User-Agent: \"}}\r\n\r\n".encode())
        client.response()
    proxy.wait_access(lambda r: "%22" in r.get("path", ""))
    assert not proxy.accesses.other
