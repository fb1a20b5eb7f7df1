# SPDX-License-Identifier: Apache-2.0
"""curl through every kind of proxy (P1, P2, P5, P6, A1)."""

import pytest

USERS = [{"name": "alice", "password": "wonder land:1"}]
KINDS = ["http", "socks4", "socks4a", "socks5", "socks5h"]


@pytest.mark.parametrize("kind", KINDS)
def test_get(sluice, origin, curl, kind):
    """P1 P2 P5 P6: one port takes every kind; the origin sees an ordinary request."""
    proxy = sluice()
    host = "localhost" if kind in ("socks4a", "socks5h") else "127.0.0.1"
    body = curl("-x", proxy.url(kind), f"http://{host}:{origin.port}/bytes/100000", text=False)
    assert len(body) == 100000
    assert origin.last().target == "/bytes/100000"
    record = proxy.access()
    assert record["protocol"] == {"socks4a": "socks4", "socks5h": "socks5"}.get(kind, kind)
    assert record["host"] == host
    assert record["port"] == origin.port
    assert record["bytes_down"] >= 100000


@pytest.mark.parametrize("kind", KINDS)
def test_tls_tunnel(sluice, tls_origin, curl, certificate, kind):
    """P2 P5 P6: TLS end to end through CONNECT and SOCKS."""
    proxy = sluice()
    body = curl("-x", proxy.url(kind), "--cacert", certificate[0],
                f"https://127.0.0.1:{tls_origin.port}/bytes/300000", text=False)
    assert len(body) == 300000


@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h"])
def test_users(sluice, origin, curl, kind):
    """A1: good credentials pass, bad and absent ones do not; the user is in the access log."""
    proxy = sluice({"users": USERS})
    url = origin.url("/json")
    curl("-x", proxy.url(kind), "-U", "alice:wonder land:1", url)
    assert proxy.wait_access(user="alice")[0]["bytes_down"] > 0
    seen = len(origin.requests)
    for arguments in (["-U", "alice:wrong"], ["-U", "bob:wonder land:1"], []):
        done = curl("-x", proxy.url(kind), *arguments, "-f", url, check=False)
        assert done.returncode == (22 if kind == "http" else 97), done
    assert len(origin.requests) == seen
    assert "Proxy-Authorization" not in dict(origin.last().fields)


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_ipv6(sluice, servers, curl, kind):
    """P1 P5: a listener and a destination on ::1."""
    from kit.http import Origin  # pylint: disable=import-outside-toplevel
    origin = servers.add(Origin(host="::1"))
    proxy = sluice({"listeners": [{"name": "six", "address": "[::1]:0"}]})
    assert proxy.address[0] == "::1"
    assert curl("-x", proxy.url(kind), origin.url("/bytes/10"), text=False)
    assert proxy.access()["client"].startswith("[::1]:")


def test_many_listeners_by_arguments(sluice, origin, curl):
    """C1: -L repeated, one of them with credentials of its own."""
    proxy = sluice(args=["-L", "127.0.0.1:0", "-L", "carol:secret@127.0.0.1:0"])
    (_, first), (_, second) = proxy.listeners().values()
    curl("-f", "-x", f"http://127.0.0.1:{first}", origin.url())
    done = curl("-f", "-x", f"http://127.0.0.1:{second}", origin.url(), check=False)
    assert done.returncode == 22
    curl("-f", "-x", f"http://carol:secret@127.0.0.1:{second}", origin.url())


def test_upload(sluice, origin, curl, folder):
    """P2: a body from the client, with a length and in chunks, arrives whole."""
    file = folder / "upload"
    file.write_bytes(bytes(range(256)) * 8000)
    proxy = sluice()
    for arguments in (["-T", file], ["-H", "Transfer-Encoding: chunked", "-T", file]):
        body = curl("-x", proxy.url(), *arguments, origin.url("/echo"), text=False)
        assert body == file.read_bytes()
    assert proxy.wait_access(count=2)[1]["bytes_up"] >= 256 * 8000
