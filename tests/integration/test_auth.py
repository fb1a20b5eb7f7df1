# SPDX-License-Identifier: Apache-2.0
"""Who may use the proxy (A1, A3): log-ins, users files, throttling, connection limits."""

import threading
import time

import pytest

from kit.http import Client
from kit.net import dial, is_closed, read_exactly
from kit.proxy import command
from kit.socks import TUNNELS, Refused, connect, socks4, socks5, socks5_login
from kit.wait import until

ALICE = {"name": "alice", "password": "secret"}


def basic(user, password):
    import base64  # pylint: disable=import-outside-toplevel
    return "Proxy-Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def eventually(tunnel):
    """A tunnel, once there is room for it: the end of another takes a moment."""
    def attempt():
        try:
            return tunnel()
        except (Refused, OSError, EOFError):
            return None
    return until(attempt, what="room for another connection", every=0.05)


def turned_away(proxy):
    """Whether a new connection is closed at once; so soon that connecting may fail, too."""
    try:
        with dial(proxy.address) as sock:
            return is_closed(sock)
    except ConnectionResetError:
        return True


# SOCKS5

def test_socks5_good(sluice, echo_server):
    """A1 P5: username/password is chosen and checked."""
    proxy = sluice({"users": [ALICE]})
    sock = socks5(proxy.address, *echo_server.address, "alice", "secret")
    sock.sendall(b"hi")
    assert read_exactly(sock, 2) == b"hi"
    sock.close()
    assert proxy.access()["user"] == "alice"


@pytest.mark.parametrize("user,password", [
    ("alice", "wrong"), ("nobody", "secret"), ("alice", ""), ("ALICE", "secret"),
    ("alice", "secret\0"), ("a" * 255, "b" * 255)])
def test_socks5_bad(sluice, echo_server, user, password):
    """A1 P5: status 1, then the end; nothing is connected."""
    proxy = sluice({"users": [ALICE]})
    with pytest.raises(Refused) as refused:
        socks5(proxy.address, *echo_server.address, user, password)
    assert refused.value.args[0].startswith("login")
    assert proxy.access()["reason"] == ("socks_malformed" if "\0" in password else "auth_failed")
    assert not echo_server.connections


def test_socks5_absent(sluice, echo_server):
    """A1 P5: a client that offers no fitting method gets 0xff and the end."""
    proxy = sluice({"users": [ALICE]})
    with pytest.raises(Refused) as refused:
        socks5(proxy.address, *echo_server.address)
    assert refused.value.code == 0xff
    assert proxy.access()["reason"] == "auth_required"


def test_socks5_without_need(sluice, echo_server):
    """A1 P5: where nobody has to log in, none is chosen even if the client could."""
    proxy = sluice()
    sock = dial(proxy.address)
    sock.sendall(b"\x05\x02\x02\x00")
    assert read_exactly(sock, 2) == b"\x05\x00"
    sock = dial(proxy.address)
    sock.sendall(b"\x05\x01\x02")
    assert read_exactly(sock, 2) == b"\x05\xff"
    assert is_closed(sock)
    assert not echo_server.connections


def test_socks5_in_single_bytes(sluice, echo_server):
    """P5: every message may come in pieces."""
    proxy = sluice({"users": [ALICE]})
    sock = dial(proxy.address)
    message = b"\x05\x01\x02" + b"\x01\x05alice\x06secret" + b"\x05\x01\x00\x01\x7f\0\0\1" + \
        echo_server.port.to_bytes(2, "big") + b"payload"
    for byte in message:
        sock.sendall(bytes([byte]))
        time.sleep(0.001)
    assert read_exactly(sock, 2 + 2 + 10 + 7).endswith(b"payload")


def test_socks5_all_at_once(sluice, echo_server):
    """P5: an eager client sends everything, payload too, without waiting."""
    proxy = sluice({"users": [ALICE]})
    sock = dial(proxy.address)
    sock.sendall(b"\x05\x01\x02" + b"\x01\x05alice\x06secret" + b"\x05\x01\x00\x01\x7f\0\0\1" +
                 echo_server.port.to_bytes(2, "big") + b"payload")
    assert read_exactly(sock, 21).endswith(b"payload")


@pytest.mark.parametrize("message,reason", [
    (b"\x05\x00", "socks_malformed"),
    (b"\x05\x01\x00\x04\x01\x00", "socks_malformed"),
    (b"\x05\x01\x00\x05\x09\x00\x01\x7f\0\0\1\0\x50", "socks_unsupported"),
    (b"\x05\x01\x00\x05\x01\x00\x02\x7f\0\0\1\0\x50", "socks_unsupported"),
    (b"\x05\x01\x00\x05\x01\x00\x03\x00\0\x50", "socks_malformed"),
    (b"\x04\x07\x00\x50\x7f\0\0\1\0", "socks_unsupported"),
    (b"\x04\x01\x00\x50\0\0\0\1user\0" + b"x" * 300 + b"\0", "socks_malformed"),
    (b"\x04\x01\x00\x50\x7f\0\0\1" + b"u" * 5000, "socks_malformed"),
])
def test_bad_socks(sluice, message, reason):
    """P5 P6 Q2: what breaks the protocol is answered where an answer exists, and closed."""
    proxy = sluice()
    sock = dial(proxy.address)
    sock.sendall(message)
    data = b""
    try:
        while piece := sock.recv(100):
            data += piece
    except ConnectionResetError:
        pass
    sock.close()
    assert proxy.access()["reason"] == reason, data


def test_socks4_user(sluice, echo_server):
    """P6 A1: SOCKS4 has no password: refused where a log-in is needed."""
    proxy = sluice({"users": [ALICE]})
    with pytest.raises(Refused) as refused:
        socks4(proxy.address, *echo_server.address, user="alice")
    assert refused.value.code in (91, 93)
    assert proxy.access()["reason"] == "auth_required"


# HTTP

def test_http_challenge(sluice, origin):
    """A1 P2: 407 with a challenge, the connection stays; then it works."""
    proxy = sluice({"users": [ALICE]})
    with Client(proxy.address) as client:
        response = client.get(origin.url())
        assert response.status == 407
        assert response.get("proxy-authenticate").lower().startswith("basic ")
        assert b"user name and password" in response.body
        assert client.get(origin.url(), basic("alice", "nope")).status == 407
        assert client.get(origin.url(), basic("alice", "secret")).status == 200
        assert client.get(origin.url()).status == 407, "each request has its own credentials"
        assert client.connect("127.0.0.1:1").status == 407
    assert len(origin.requests) == 1


@pytest.mark.parametrize("value", ["Basic", "Basic !!!!", "Basic YWxpY2U=", "Bearer abc",
                                   "Basic YWxpY2U6c2VjcmV0 x", "Digest username=alice"])
def test_http_bad_credentials(sluice, origin, value):
    """A1 Q2: malformed credentials are refused."""
    proxy = sluice({"users": [ALICE]})
    with Client(proxy.address) as client:
        assert client.get(origin.url(), f"Proxy-Authorization: {value}").status == 407
    assert not origin.requests


def test_password_with_colon_and_utf8(sluice, origin):
    """A1: only the first colon divides."""
    proxy = sluice({"users": [{"name": "j\u00fcrgen", "password": "a:b\u20ac"}]})
    with Client(proxy.address) as client:
        assert client.get(origin.url(), basic("j\u00fcrgen", "a:b\u20ac")).status == 200


def test_no_secret_in_logs(sluice, origin):
    """Q3 O2: passwords are in no log, whatever the level."""
    proxy = sluice({"users": [{"name": "alice", "password": "Secr3tWord"}], "log": {"level": "debug"}})
    with Client(proxy.address) as client:
        client.get(origin.url("/json?token=Secr3tWord"), basic("alice", "Secr3tWord"))
        client.get(origin.url(), basic("alice", "Secr3tWordX"))
    proxy.wait_access(count=2)
    proxy.stop()
    assert "Secr3tWord" not in proxy.logs.text() + proxy.accesses.text()


# Users files

@pytest.mark.parametrize("kind", ["yescrypt", "bcrypt", "argon2id"])
def test_users_file(sluice, origin, folder, kind):
    """A1: lines that `sluice passwd` makes, of each kind of hash."""
    done = command("passwd", "--kind", kind, "--stdin", "bob", stdin="hunter2\n", timeout=30)
    assert done.returncode == 0, done.stderr
    name, hashed = done.stdout.strip().split(":", 1)
    assert name == "bob"
    assert hashed.startswith({"yescrypt": "$y$", "bcrypt": "$2b$", "argon2id": "$argon2id$"}[kind])
    file = folder / "users"
    file.write_text(f"# people\n\n{done.stdout}")
    file.chmod(0o644)
    proxy = sluice({"users_file": str(file)})
    with Client(proxy.address) as client:
        client.sock.settimeout(20)
        assert client.get(origin.url(), basic("bob", "hunter2")).status == 200
        assert client.get(origin.url(), basic("bob", "hunter3")).status == 407
        began = time.monotonic()
        for _ in range(20):
            assert client.get(origin.url(), basic("bob", "hunter2")).status == 200
        assert time.monotonic() - began < 1, "a checked password is remembered"


def test_users_file_groups_and_limits(sluice, echo_server, folder):
    """A1 A2 A3: a line's groups and limits hold; a change takes effect by reload."""
    line = command("passwd", "--stdin", "bob", stdin="x\n").stdout.strip()
    file = folder / "users"
    file.write_text(f"{line}:staff,night:connections=1\n")
    file.chmod(0o644)
    proxy = sluice({"users_file": str(file), "groups": ["staff"], "acl": [
        {"action": "allow", "groups": ["staff"]}, {"action": "deny"}]})
    one = socks5(proxy.address, *echo_server.address, "bob", "x")
    with pytest.raises(Refused):
        socks5(proxy.address, *echo_server.address, "bob", "x")
    assert proxy.wait_access(reason="user_limit")
    one.close()
    proxy.wait_access(count=2)
    file.write_text(f"{line}:night\n")
    proxy.reload()
    with pytest.raises(Refused):
        socks5(proxy.address, *echo_server.address, "bob", "x")
    assert proxy.wait_access(reason="acl_denied")


def test_listener_users(sluice, origin):
    """A1: a listener's own users, and only they, log in there."""
    proxy = sluice({"users": [ALICE], "listeners": [
        {"name": "all", "address": "127.0.0.1:0"},
        {"name": "own", "address": "127.0.0.1:0", "users": [{"name": "carol", "password": "c"}]},
        {"name": "free", "address": "127.0.0.1:0", "authentication": "none"}]})
    expected = {("all", "alice"): 200, ("all", "carol"): 407, ("own", "alice"): 407,
                ("own", "carol"): 200, ("free", None): 200}
    for (listener, user), status in expected.items():
        with Client(proxy.listeners()[listener]) as client:
            fields = [basic(user, {"alice": "secret", "carol": "c"}[user])] if user else []
            assert client.get(origin.url(), *fields).status == status, (listener, user)


# Throttle

def test_throttle(sluice, origin):
    """A1: after some failures an address has to wait, whatever it sends; others do not."""
    proxy = sluice({"users": [ALICE], "authentication": {"failures": 3, "failure_window": "2s"}})
    with Client(proxy.address) as client:
        for i in range(3):
            assert client.get(origin.url(), basic("alice", f"wrong{i}")).status == 407
        response = client.get(origin.url(), basic("alice", "wrong-again"))
        assert response.status == 429
        assert response.get("retry-after")
    with Client(proxy.address, source="127.0.0.9") as other:
        assert other.get(origin.url(), basic("alice", "secret")).status == 200
    assert proxy.wait_access(reason="auth_throttled")
    with pytest.raises(Refused):
        socks5(proxy.address, "127.0.0.1", origin.port, "alice", "wrong-as-well")
    time.sleep(2.2)
    with Client(proxy.address) as client:
        assert client.get(origin.url(), basic("alice", "secret")).status == 200


def test_hashing_does_not_stall(sluice, origin, folder):
    """A1 D4: while hashes are computed, others are served at once."""
    line = command("passwd", "--kind", "argon2id", "--stdin", "bob", stdin="x\n", timeout=30).stdout
    file = folder / "users"
    file.write_text(line)
    file.chmod(0o644)
    proxy = sluice({"workers": 1, "users_file": str(file), "authentication": {"failures": 0},
                    "listeners": [{"name": "a", "address": "127.0.0.1:0"},
                                  {"name": "free", "address": "127.0.0.1:0",
                                   "authentication": "none"}]})
    stop = threading.Event()

    def hammer(number):
        with Client(proxy.listeners()["a"], timeout=30) as client:
            for i in range(20):
                if stop.is_set():
                    return
                client.get(origin.url(), basic("bob", f"wrong-{number}-{i}"))
    threads = [threading.Thread(target=hammer, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    times = []
    with Client(proxy.listeners()["free"]) as client:
        for _ in range(30):
            began = time.monotonic()
            assert client.get(origin.url()).status == 200
            times.append(time.monotonic() - began)
    stop.set()
    assert sorted(times)[15] < 0.05
    for thread in threads:
        thread.join(20)


# Connection limits

@pytest.mark.parametrize("how", ["socks5", "connect"])
def test_user_connection_limit(sluice, echo_server, how):
    """A3: so many connections of a user, over all workers; an end makes room."""
    proxy = sluice({"users": [ALICE | {"limits": {"connections": 3}}], "workers": 2})

    def tunnel():
        return TUNNELS[how](proxy.address, *echo_server.address, user="alice", password="secret")
    held = [tunnel() for _ in range(3)]
    for _ in range(4):
        with pytest.raises(Refused) as refused:
            tunnel()
        assert refused.value.code == {"socks5": 2, "connect": 429}[how] or how == "socks5"
    assert len(proxy.wait_access(count=4, reason="user_limit")) == 4
    held.pop().close()
    held.append(eventually(tunnel))
    for sock in held:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


def test_address_connection_limit(sluice, echo_server):
    """A3: so many connections of an address; what is above is closed; others are not touched."""
    proxy = sluice({"limits": {"per_address": {"connections": 2}}})
    held = [socks5(proxy.address, *echo_server.address) for _ in range(2)]
    assert turned_away(proxy)
    assert proxy.wait_access(reason="address_limit")
    other = socks5(proxy.address, *echo_server.address, source="127.0.0.3")
    other.close()
    held.pop().close()
    eventually(lambda: socks5(proxy.address, *echo_server.address)).close()


def test_total_connection_limit(sluice, echo_server):
    """A3: a limit for all."""
    proxy = sluice({"limits": {"connections": 5}})
    held = [socks5(proxy.address, *echo_server.address) for _ in range(5)]
    assert turned_away(proxy)
    assert proxy.wait_access(reason="connection_limit")
    for sock in held:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


def test_new_connections_per_second(sluice, echo_server):
    """A3: new connections per second are limited, and come again after a while."""
    proxy = sluice({"limits": {"per_address": {"connections_per_second": 5}}})
    good = 0
    for _ in range(30):
        try:
            socks5(proxy.address, *echo_server.address).close()
            good += 1
        except (OSError, EOFError):
            pass
    assert 3 <= good <= 15
    assert proxy.wait_access(reason="rate_limited")
    time.sleep(1.1)
    socks5(proxy.address, *echo_server.address).close()


def test_login_then_silence(sluice):
    """A6: a client that logs in and says no more is closed at the deadline."""
    proxy = sluice({"users": [ALICE], "timeouts": {"admission": "500ms"}})
    sock = dial(proxy.address)
    socks5_login(sock, "alice", "secret")
    assert is_closed(sock, 3)
    assert proxy.access()["reason"] == "admission_timeout"


def test_connect_after_login_uses_connection_limit_once(sluice, echo_server):
    """A3: a connection counts once however many requests it has."""
    proxy = sluice({"users": [ALICE | {"limits": {"connections": 1}}]})
    with Client(proxy.address) as client:
        for _ in range(3):
            assert client.get(f"http://{echo_server.name}/", basic("alice", "secret"),
                              "Connection: keep-alive").status in (502, 200)
    eventually(lambda: connect(proxy.address, *echo_server.address, "alice", "secret")).close()
