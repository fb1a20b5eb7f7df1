# SPDX-License-Identifier: Apache-2.0
"""SOCKS5 UDP ASSOCIATE and SOCKS BIND (P5, P6, D3, A2, A3), byte by byte and with a real client."""

import json
import re
import signal
import socket
import struct
import time
import urllib.request

import pytest

from kit.net import dial, is_closed, pattern, read_all, read_exactly, reset
from kit.proxy import split_address
from kit.socks import Refused, socks5_command, socks5_login, socks5_reply
from kit.udp import Association, UdpServer, parse_datagram, send_segments, udp_socket
from kit.wait import until

CONFIG = {"admin": {"address": "127.0.0.1:0"}}
SIX = [{"name": "main", "address": "[::1]:0"}]
USERS = [{"name": "alice", "password": "secret"}, {"name": "bob", "password": "secret"}]


def door(proxy):
    return proxy.listeners()["main"]


def admin(proxy):
    return split_address(proxy.wait_log("admin API listening")["address"])


def metrics(proxy):
    """{series with labels: value}"""
    host, port = admin(proxy)
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    return {m[1]: float(m[2]) for m in re.finditer(r"^(\S+) (\S+)$", text, re.M)}


def drops(proxy):
    """Datagrams dropped, by reason."""
    found = {}
    for name, value in metrics(proxy).items():
        m = re.fullmatch(r'sluice_datagrams_dropped_total\{reason="(\w+)"\}', name)
        if m and value:
            found[m[1]] = value
    return found


def until_dropped(proxy, **counts):
    until(lambda: drops(proxy) == counts, what=lambda: f"drops {counts}, there are {drops(proxy)}")


def until_moved(proxy, datagrams, total):
    """Both ways so many. What is sent is counted a moment later."""
    def moved():
        now = metrics(proxy)
        return [now.get(f'sluice_{what}_total{{direction="{direction}"}}')
                for what in ("datagrams", "datagram_bytes") for direction in ("up", "down")]
    wanted = [datagrams, datagrams, total, total]
    until(lambda: moved() == wanted, what=lambda: f"{wanted}, there is {moved()}")


@pytest.fixture
def proxy(sluice):
    return sluice(CONFIG)


@pytest.fixture
def association(proxy):
    with Association(door(proxy)) as one:
        yield one


@pytest.fixture
def udp_echo(servers):
    return servers.add(UdpServer())


# UDP: data

def test_echo(association, udp_echo):
    """P5: there and back, the header names the sender, and the relay is on the address reached."""
    assert association.relay[0] == "127.0.0.1"
    for data in (b"hello", b"", b"x", pattern(1200), pattern(9000)):
        association.send(data, *udp_echo.address)
        assert association.receive() == (*udp_echo.address, data)
    assert len(set(udp_echo.peers)) == 1, "one port towards the destination"


def test_ipv6(sluice, servers):
    """P5: a client and a destination on ::1; an IPv4 destination beside it."""
    proxy = sluice(CONFIG | {"listeners": SIX})
    six, four = servers.add(UdpServer(host="::1")), servers.add(UdpServer())
    with Association(door(proxy), claim=("::", 0)) as association:
        assert association.relay[0] == "::1"
        for server in (six, four, six):
            association.send(b"hi", *server.address)
            assert association.receive() == (*server.address, b"hi")
        data = pattern(65527 - 22)
        assert association.exchange(data, *six.address) == data


def test_largest(proxy, association, servers):
    """P5: the largest datagram that a client can frame passes both ways; a larger answer is counted."""
    answers = {b"more": pattern(65507 - 10 + 1)}
    server = servers.add(UdpServer(lambda data, _: [answers.get(data, data)]))
    data = pattern(65507 - 10)
    assert association.exchange(data, *server.address) == data
    association.send(b"more", *server.address)
    until_dropped(proxy, too_large=1)
    assert association.exchange(b"on", *server.address) == b"on"


def test_many_destinations(association, servers):
    """P5: one association, many peers, each answer under its own name."""
    several = [servers.add(UdpServer(lambda d, _, i=i: [d + bytes([i])])) for i in range(20)]
    for turn in range(3):
        for i, server in enumerate(several):
            association.send(b"turn %d" % turn, *server.address)
        got = sorted(association.receive() for _ in several)
        assert got == sorted((*s.address, b"turn %d" % turn + bytes([i]))
                             for i, s in enumerate(several))


def collect(association, count):
    return [association.receive() for _ in range(count)]


@pytest.mark.parametrize("size", [1, 64, 300, 1200])
def test_gso_burst(proxy, association, udp_echo, size):
    """D3: a burst in one UDP_SEGMENT message arrives whole, in order, and comes back so."""
    pieces = [bytes([i]) * size for i in range(40)]
    if size > 1:
        pieces.append(b"last")
    association.burst(pieces, *udp_echo.address)
    assert [p for *_, p in collect(association, len(pieces))] == pieces
    assert udp_echo.received == pieces
    until_moved(proxy, len(pieces), sum(map(len, pieces)))


def test_gso_answers(association, servers):
    """D3: a destination's burst gets a header before each datagram."""
    pieces = [bytes([i]) * 500 for i in range(30)] + [b"end"]

    def burst(_, peer):
        send_segments(server.socket, b"".join(pieces), 500, peer)
        return []

    server = servers.add(UdpServer(burst))
    association.send(b"go", *server.address)
    assert collect(association, len(pieces)) == [(*server.address, p) for p in pieces]


def test_gso_mixed(proxy, association, servers):
    """D3: one burst to several destinations, with a fragment and nonsense between."""
    one, two = servers.add(UdpServer()), servers.add(UdpServer())

    def framed(server, data, fragment=0):
        return b"\0\0" + bytes([fragment]) + b"\1" + socket.inet_aton(server.host) + \
            struct.pack("!H", server.port) + data

    parts = [framed(one, b"a1"), framed(one, b"a2"), framed(two, b"b1"), framed(two, b"b2", 7),
             b"\0" * 12, framed(one, b"a3"), framed(two, b"b3"), framed(two, b"")]
    send_segments(association.socket, b"".join(parts), 12, association.relay)
    got = [p for *_, p in collect(association, 6)]
    assert sorted(got) == [b"", b"a1", b"a2", b"a3", b"b1", b"b3"]
    assert one.received == [b"a1", b"a2", b"a3"]
    assert two.received == [b"b1", b"b3", b""]
    until_dropped(proxy, fragment=1, malformed=1)


# UDP: whose datagrams

def test_fragments(proxy, association, udp_echo):
    """P5: FRAG other than 0 is dropped and counted, and is no way to claim the association."""
    for fragment in (1, 2, 0x80, 0xff):
        association.send(b"piece", *udp_echo.address, fragment=fragment)
    until_dropped(proxy, fragment=4)
    assert association.exchange(b"whole", *udp_echo.address) == b"whole"
    assert udp_echo.received == [b"whole"]


def test_malformed(proxy, association, udp_echo):
    """Q2: nonsense is dropped and counted."""
    bad = [b"", b"\0", b"\0\0\0\1", b"\0\1\0\1\x7f\0\0\1\0\x35x", b"\0\0\0\2abcdef",
           b"\0\0\0\3\x05ab", b"\0\0\0\1\x7f\0\0\1\0\0port 0"]
    for data in bad:
        association.send_raw(data)
    until_dropped(proxy, malformed=len(bad))
    assert association.exchange(b"fine", *udp_echo.address) == b"fine"


def test_foreign_client(proxy, association, udp_echo):
    """P5: the first good datagram fixes the client; other ports of its address are foreign then."""
    assert association.exchange(b"mine", *udp_echo.address) == b"mine"
    with udp_socket() as other:
        association.send(b"theirs", *udp_echo.address, sock=other)
    # The kernel keeps them out itself once the socket is connected: nothing arrives.
    assert association.exchange(b"mine again", *udp_echo.address) == b"mine again"
    assert udp_echo.received == [b"mine", b"mine again"]


def test_foreign_address(proxy, association, udp_echo):
    """P5: an address other than the control connection's is foreign from the start."""
    with udp_socket("127.0.0.2") as other:
        association.send(b"theirs", *udp_echo.address, sock=other)
        until_dropped(proxy, foreign=1)
    assert association.exchange(b"mine", *udp_echo.address) == b"mine"
    assert udp_echo.received == [b"mine"]


def test_announced_port(proxy, udp_echo):
    """P5: a port given in the request is the client's, from the first datagram on."""
    with Association(door(proxy), claim="own") as association:
        with udp_socket() as other:
            association.send(b"theirs", *udp_echo.address, sock=other)
        assert association.exchange(b"mine", *udp_echo.address) == b"mine"
        assert udp_echo.received == [b"mine"]


def test_foreign_source(proxy, association, udp_echo):
    """P5: nothing is relayed from those to whom the client has not sent."""
    assert association.exchange(b"hello", *udp_echo.address) == b"hello"
    outside = ("127.0.0.1", udp_echo.peers[0][1])
    with udp_socket() as stranger:
        stranger.sendto(b"boo", outside)
        until_dropped(proxy, foreign=1)
        assert association.is_silent()
        association.send(b"open up", *stranger.getsockname())
        assert stranger.recvfrom(100)[0] == b"open up"
        stranger.sendto(b"thanks", outside)
        assert association.receive() == (*stranger.getsockname(), b"thanks")


def test_nobody_there(proxy, association, udp_echo):
    """D3: a destination that refuses, and a client that is gone, disturb nothing."""
    with udp_socket() as gone:
        nobody = gone.getsockname()
    for _ in range(5):
        association.send(b"anybody?", *nobody)
        assert association.exchange(b"hello", *udp_echo.address) == b"hello"
    # The client's socket closes while answers are on their way; then it is back on its port.
    port = association.socket.getsockname()[1]
    association.send(b"1", *udp_echo.address)
    association.socket.close()
    outside = udp_echo.peers[0]
    for _ in range(5):
        udp_echo.socket.sendto(b"to nobody", outside)
        time.sleep(0.02)
    association.socket = udp_socket(port=port)
    assert association.exchange(b"back", *udp_echo.address) == b"back"


# UDP: life

def test_ends_with_control(proxy, association, udp_echo):
    """P5: the association ends with its control connection, and is a session in the access log."""
    for data in (b"abc", b"defgh", b""):
        association.exchange(data, *udp_echo.address)
    assert metrics(proxy)["sluice_udp_associations_live"] == 1
    descriptors = proxy.descriptors()
    association.control.close()
    record = proxy.access(protocol="udp")
    assert record["bytes_up"] == record["bytes_down"] == 8
    assert record["host"] == udp_echo.host and record["port"] == udp_echo.port
    assert record["reason"] == "client_eof"
    assert metrics(proxy)["sluice_udp_associations_live"] == 0
    until(lambda: proxy.descriptors() <= descriptors - 3, what="the sockets' end")
    association.send(b"late", *udp_echo.address)
    assert association.is_silent()


def test_control_reset(proxy, association, udp_echo):
    """P5: a reset of the control connection ends it too."""
    association.exchange(b"abc", *udp_echo.address)
    reset(association.control)
    assert proxy.access(protocol="udp")["reason"] == "client_reset"


def test_control_chatter(proxy, association, udp_echo):
    """Q2: what a client says on the control connection after the reply is ignored."""
    for _ in range(20):
        association.control.sendall(b"x" * 10000)
    assert association.exchange(b"abc", *udp_echo.address) == b"abc"
    association.control.shutdown(socket.SHUT_WR)
    assert proxy.access(protocol="udp")["reason"] == "client_eof"


def test_request_and_end_at_once(proxy):
    """P5: a client that ends its side with the request has no association."""
    with dial(door(proxy)) as sock:
        sock.sendall(b"\5\1\0\5\3\0\1\0\0\0\0\0\0")
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)
    assert proxy.access(protocol="udp")["reason"] == "client_eof"
    assert metrics(proxy)["sluice_udp_associations_live"] == 0


def test_idle(sluice, udp_echo):
    """P5: an association without a datagram ends after the idle time; a datagram renews it."""
    proxy = sluice(CONFIG | {"timeouts": {"udp_idle": "1s"}})
    with Association(door(proxy)) as association:
        began = time.monotonic()
        while time.monotonic() < began + 2:
            assert association.exchange(b"tick", *udp_echo.address) == b"tick"
            time.sleep(0.2)
        last = time.monotonic()
        assert is_closed(association.control, 5)
        assert 0.7 < time.monotonic() - last < 3
    assert proxy.access(protocol="udp")["reason"] == "idle_timeout"


def test_idle_peer(sluice, udp_echo, servers):
    """P5: answers of a peer pass within the idle time after the client last sent to it."""
    proxy = sluice(CONFIG | {"timeouts": {"udp_idle": "1s"}})
    other = servers.add(UdpServer())
    with Association(door(proxy)) as association:
        association.exchange(b"once", *other.address)
        for _ in range(8):
            association.exchange(b"tick", *udp_echo.address)
            time.sleep(0.2)
        other.socket.sendto(b"late", other.peers[0])
        until_dropped(proxy, foreign=1)


# UDP: names

def test_names(sluice, dns, udp_echo):
    """P5 B6: names are resolved; datagrams wait meanwhile; answers name the address."""
    dns.zone["echo.test"] = ["127.0.0.1"]
    dns.delays[("echo.test", "A")] = 0.3
    proxy = sluice(CONFIG | {"dns": {"servers": [dns.name]}})
    with Association(door(proxy)) as association:
        for i in range(5):
            association.send(b"early %d" % i, "echo.test", udp_echo.port)
        got = [association.receive() for _ in range(5)]
        assert got == [(*udp_echo.address, b"early %d" % i) for i in range(5)]
        for i in range(50):
            assert association.exchange(b"%d" % i, "Echo.Test.", udp_echo.port) == b"%d" % i
        pieces = [bytes([i]) * 100 for i in range(20)]
        association.burst(pieces, "echo.test", udp_echo.port)
        assert [p for *_, p in collect(association, 20)] == pieces
    assert dns.count("echo.test", "A") == 1
    record = proxy.access(protocol="udp")
    assert record["host"] == "echo.test"


def test_names_that_do_not_resolve(sluice, dns, udp_echo):
    """P5: dropped and counted, and others are not held up; too many that wait are dropped as well."""
    dns.zone["slow.test"] = ["127.0.0.1"]
    dns.delays[("slow.test", "A")] = None
    dns.delays[("slow.test", "AAAA")] = None
    proxy = sluice(CONFIG | {"dns": {"servers": [dns.name]}})
    with Association(door(proxy)) as association:
        for _ in range(3):
            association.send(b"x", "none.test", udp_echo.port)
        association.send(b"x", "bad name", udp_echo.port)
        until_dropped(proxy, unresolved=4)
        for _ in range(20):
            association.send(b"x", "slow.test", udp_echo.port)
        until_dropped(proxy, unresolved=4, queue_full=4)
        assert association.exchange(b"here", *udp_echo.address) == b"here"


def test_name_literals(association, udp_echo):
    """P5: an address written as a name is an address."""
    assert association.exchange(b"abc", "127.0.0.1", udp_echo.port) == b"abc"
    header = b"\0\0\0\3\x09127.0.0.1" + struct.pack("!H", udp_echo.port)
    association.send_raw(header + b"literal")
    assert association.receive() == (*udp_echo.address, b"literal")


# UDP: rules

def test_rules(sluice, servers, dns):
    """A2: each destination is decided, by address and by name."""
    good, bad = servers.add(UdpServer()), servers.add(UdpServer())
    dns.zone["good.test"] = dns.zone["evil.test"] = ["127.0.0.1"]
    proxy = sluice(CONFIG | {
        "dns": {"servers": [dns.name]},
        "acl": [{"action": "deny", "ports": [bad.port]},
                {"action": "deny", "domains": ["evil.test"], "protocols": ["udp"]}]})
    with Association(door(proxy)) as association:
        association.send(b"x", *bad.address)
        association.send(b"x", "good.test", bad.port)
        association.send(b"x", "evil.test", good.port)
        until_dropped(proxy, denied=3)
        assert association.exchange(b"1", *good.address) == b"1"
        assert association.exchange(b"2", "good.test", good.port) == b"2"
    assert not bad.received
    assert good.received == [b"1", b"2"]


def test_udp_denied(sluice):
    """A2: the command itself can be denied."""
    proxy = sluice(CONFIG | {"acl": [{"action": "deny", "protocols": ["udp"]}]})
    with pytest.raises(Refused) as refused:
        Association(door(proxy))
    assert refused.value.code == 2
    assert proxy.access(protocol="udp")["reason"] == "acl_denied"


def test_local_destinations(sluice, udp_echo, dns):
    """A2: the guard of local addresses, and of the admin address, holds for datagrams."""
    dns.zone["me.test"] = ["127.0.0.1"]
    proxy = sluice(CONFIG | {
        "dns": {"servers": [dns.name]},
        "listeners": [{"name": "main", "address": "127.0.0.1:0", "allow_local": False}]})
    with Association(door(proxy)) as association:
        association.send(b"x", *udp_echo.address)
        association.send(b"x", "me.test", udp_echo.port)
        association.send(b"x", "0.0.0.0", udp_echo.port)
        association.send(b"x", "169.254.169.254", 80)
        association.send(b"x", "239.1.2.3", 80)
        until_dropped(proxy, denied=5)
    assert not udp_echo.received
    proxy = sluice(CONFIG)
    with Association(door(proxy)) as association:
        association.send(b"x", *admin(proxy))
        until_dropped(proxy, denied=1)


def test_reload_denies_a_destination(sluice, servers):
    """A2 C4: after a reload the datagrams and answers of a denied destination stop, others go on."""
    stays, goes = servers.add(UdpServer()), servers.add(UdpServer())
    proxy = sluice(CONFIG)
    with Association(door(proxy)) as association:
        for server in (stays, goes):
            assert association.exchange(b"before", *server.address) == b"before"
        proxy.reload(CONFIG | {"acl": [{"action": "deny", "ports": [goes.port]}]})
        goes.socket.sendto(b"answer", goes.peers[0])
        until_dropped(proxy, denied=1)
        association.send(b"after", *goes.address)
        until_dropped(proxy, denied=2)
        stays.socket.sendto(b"answer", stays.peers[0])
        assert association.receive() == (*stays.address, b"answer")
        assert association.exchange(b"after", *stays.address) == b"after"
        proxy.reload(CONFIG)
        assert association.exchange(b"again", *goes.address) == b"again"


def test_revoked(sluice, udp_echo):
    """C4: a removed user's association ends, and so do all when UDP is denied; others live on."""
    config = CONFIG | {"users": USERS}
    proxy = sluice(config)
    with Association(door(proxy), "alice", "secret") as alice, \
            Association(door(proxy), "bob", "secret") as bob:
        for one in (alice, bob):
            one.exchange(b"hi", *udp_echo.address)
        proxy.reload(CONFIG | {"users": USERS[1:]})
        assert is_closed(alice.control, 3)
        assert bob.exchange(b"still here", *udp_echo.address) == b"still here"
        assert proxy.access(user="alice")["reason"] == "revoked"
        proxy.reload(CONFIG | {"users": USERS[1:],
                               "acl": [{"action": "deny", "protocols": ["udp"]}]})
        assert is_closed(bob.control, 3)
        assert proxy.access(user="bob")["reason"] == "revoked"


def test_listener_removed(sluice, udp_echo):
    """C2: a reload that takes the listener away drops no association."""
    proxy = sluice(CONFIG)
    with Association(door(proxy)) as association:
        association.exchange(b"hi", *udp_echo.address)
        proxy.reload(CONFIG | {"listeners": [{"name": "other", "address": "127.0.0.1:0"}]})
        assert association.exchange(b"still", *udp_echo.address) == b"still"


# UDP: accounting and limits

def test_accounting(sluice, udp_echo):
    """A3 O2: byte-exact counts of payload, in the access log, the metrics and the table."""
    proxy = sluice(CONFIG | {"users": USERS})
    sizes = [1, 100, 1400, 3000]
    with Association(door(proxy), "alice", "secret") as association:
        for size in sizes * 5:
            association.exchange(pattern(size), *udp_echo.address)
        association.burst([pattern(700)] * 10 + [b"tail"], *udp_echo.address)
        collect(association, 11)
        total = sum(sizes) * 5 + 7004
        host, port = admin(proxy)
        with urllib.request.urlopen(f"http://{host}:{port}/connections", timeout=10) as page:
            rows = [r for r in json.load(page)["connections"] if r["protocol"] == "udp"]
        assert len(rows) == 1 and rows[0]["phase"] == "associated", rows
        assert rows[0]["user"] == "alice"
        assert rows[0]["up"]["copied"] == rows[0]["down"]["copied"] == total
        with urllib.request.urlopen(f"http://{host}:{port}/metrics?users=1", timeout=10) as page:
            text = page.read().decode()
        assert re.search(r'user_bytes\w*\{[^}]*alice[^}]*direction="up"[^}]*\} ' + str(total), text) or \
            re.search(r'user_bytes\w*\{[^}]*direction="up"[^}]*alice[^}]*\} ' + str(total), text), text[-3000:]
    record = proxy.access(protocol="udp")
    assert record["bytes_up"] == record["bytes_down"] == total == sum(map(len, udp_echo.received))
    until_moved(proxy, 31, total)


def test_rate_limit(sluice, udp_echo):
    """A3: what is above a user's rate is dropped and counted, not queued."""
    rate = 400_000  # bytes a second; the burst is 64 KiB
    proxy = sluice(CONFIG | {"limits": {"per_address": {"upload": "400kB/s"}}})
    with Association(door(proxy)) as association:
        sent = 0
        began = time.monotonic()
        while time.monotonic() < began + 2:
            association.burst([pattern(1000)] * 10, *udp_echo.address)
            sent += 10
            time.sleep(0.005)
        elapsed = time.monotonic() - began
        until(lambda: len(udp_echo.received) + drops(proxy).get("rate", 0) == sent)
        passed = len(udp_echo.received) * 1000
        assert rate * elapsed * 0.8 < passed < rate * elapsed * 1.1 + 70_000
    record = proxy.access(protocol="udp")
    assert record["bytes_up"] == passed


def test_flood(proxy, association, udp_echo):
    """D3: every datagram of a flood is relayed, or counted as dropped, or lost in a kernel queue."""
    pieces = [pattern(100)] * 60
    for _ in range(200):
        association.burst(pieces, *udp_echo.address)
    association.socket.settimeout(1)
    got = 0
    try:
        while True:
            assert parse_datagram(association.socket.recv(2000))[2] == pieces[0]
            got += 1
    except TimeoutError:
        pass
    now = metrics(proxy)
    up = now['sluice_datagrams_total{direction="up"}']
    down = now['sluice_datagrams_total{direction="down"}']
    assert got <= down <= up <= 12000
    assert up >= 600


def test_real_client(proxy, udp_echo):
    """P5 Q1: PySocks."""
    socks = pytest.importorskip("socks")
    with socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.set_proxy(socks.SOCKS5, *door(proxy))
        sock.settimeout(10)
        for i in range(5):
            sock.sendto(b"datagram %d" % i, udp_echo.address)
            assert sock.recvfrom(2000) == (b"datagram %d" % i, udp_echo.address)


def test_parent(sluice, udp_echo):
    """P9: datagrams do not slip past a parent that forward requests have to take."""
    proxy = sluice(CONFIG | {
        "parents": [{"name": "up", "type": "socks5", "address": "127.0.0.1:9"}],
        "forward": {"parent": "up"}})
    with pytest.raises(Refused) as refused:
        Association(door(proxy))
    assert refused.value.code == 2


# BIND

class Bind:
    """A BIND request whose first reply was good."""

    def __init__(self, proxy, host, port=0, version=5):
        self.version = version
        self.sock = dial(proxy)
        if version == 5:
            socks5_login(self.sock)
            self.bound = socks5_command(self.sock, 2, host, port)
        else:
            self.sock.sendall(b"\4\2" + struct.pack("!H", port) + socket.inet_aton(host) + b"me\0")
            self.bound = self.second()

    def second(self):
        """The next reply."""
        if self.version == 5:
            return socks5_reply(self.sock)
        zero, code, port = struct.unpack("!BBH", read_exactly(self.sock, 4))
        assert zero == 0
        host = socket.inet_ntoa(read_exactly(self.sock, 4))
        if code != 90:
            raise Refused("socks4", code)
        return host, port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def is_refused(bound, source):
    """Whether a peer from there is closed at once."""
    try:
        with dial(bound, source=source) as sock:
            return is_closed(sock)
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("announced", ["127.0.0.1", "0.0.0.0"])
def test_bind(proxy, version, announced):
    """P5 P6: two replies, then a tunnel with byte-exact accounting."""
    with Bind(door(proxy), announced, 4711, version) as bind:
        assert bind.bound[0] == "127.0.0.1" and bind.bound[1] > 0
        bind.sock.sendall(b"early ")
        with dial(bind.bound) as peer:
            assert bind.second() == peer.getsockname()
            assert read_exactly(peer, 6) == b"early "
            peer.sendall(pattern(300000))
            peer.shutdown(socket.SHUT_WR)
            assert read_all(bind.sock) == pattern(300000)
            bind.sock.sendall(b"late")
            bind.sock.shutdown(socket.SHUT_WR)
            assert read_all(peer) == b"late"
    record = proxy.access(protocol="bind")
    assert (record["bytes_up"], record["bytes_down"]) == (10, 300000)
    assert record["reason"] in ("client_eof", "upstream_eof")
    assert record["host"] == "127.0.0.1"


def test_bind_ipv6(sluice):
    """P5: a BIND for an IPv6 peer."""
    proxy = sluice(CONFIG | {"listeners": SIX})
    with Bind(door(proxy), "::1") as bind:
        assert bind.bound[0] == "::1"
        with dial(bind.bound) as peer:
            assert bind.second() == peer.getsockname()[:2]
            peer.sendall(b"hi")
            assert read_exactly(bind.sock, 2) == b"hi"


def test_bind_one_peer_only(proxy):
    """P5: the socket closes once the peer is there."""
    with Bind(door(proxy), "127.0.0.1") as bind, dial(bind.bound) as peer:
        bind.second()
        with pytest.raises(ConnectionRefusedError):
            dial(bind.bound)
        peer.sendall(b"x")
        assert read_exactly(bind.sock, 1) == b"x"


def test_bind_foreign_peer(proxy):
    """P5: a peer other than the announced one is closed and counted, and the wait goes on."""
    with Bind(door(proxy), "127.0.0.1") as bind:
        for _ in range(3):
            assert is_refused(bind.bound, "127.0.0.9")
        assert metrics(proxy)["sluice_bind_foreign_peers_total"] == 3
        with dial(bind.bound) as peer:
            assert bind.second() == peer.getsockname()


def test_bind_name(sluice, dns):
    """P5 P6: a name is resolved first; each of its addresses may connect."""
    dns.zone["peer.test"] = ["127.0.0.5", "127.0.0.6"]
    proxy = sluice(CONFIG | {"dns": {"servers": [dns.name]}})
    with Bind(door(proxy), "peer.test") as bind:
        assert is_refused(bind.bound, "127.0.0.7")
        with dial(bind.bound, source="127.0.0.6") as peer:
            assert bind.second() == peer.getsockname()
    with pytest.raises(Refused) as refused:
        Bind(door(proxy), "none.test")
    assert refused.value.code == 4
    with dial(door(proxy)) as sock:
        sock.sendall(b"\4\2\0\0\0\0\0\1me\0peer.test\0")
        assert read_exactly(sock, 2) == b"\0\x5a"


def test_bind_rules(sluice):
    """A2: the announced peer is decided at once, an unannounced one when it comes."""
    proxy = sluice(CONFIG | {"acl": [
        {"action": "deny", "protocols": ["bind"], "destinations": ["127.0.0.9"]}]})
    with pytest.raises(Refused) as refused:
        Bind(door(proxy), "127.0.0.9")
    assert refused.value.code == 2
    with Bind(door(proxy), "0.0.0.0") as bind:
        assert is_refused(bind.bound, "127.0.0.9")
        with dial(bind.bound, source="127.0.0.8") as peer:
            assert bind.second() == peer.getsockname()
    proxy = sluice(CONFIG | {"acl": [{"action": "deny", "protocols": ["bind"]}]})
    for announced in ("0.0.0.0", "127.0.0.1"):
        with pytest.raises(Refused):
            Bind(door(proxy), announced)


def test_bind_timeout(sluice):
    """P5: nobody comes: the second reply says so."""
    proxy = sluice(CONFIG | {"timeouts": {"bind": "1s"}})
    with Bind(door(proxy), "127.0.0.1") as bind:
        with pytest.raises(Refused) as refused:
            bind.second()
        assert refused.value.code == 6
        with pytest.raises(ConnectionRefusedError):
            dial(bind.bound)
        assert is_closed(bind.sock)
    assert proxy.access(protocol="bind")["reason"] == "bind_timeout"


@pytest.mark.parametrize("how", ["end", "reset"])
def test_bind_client_leaves(proxy, how):
    """P5: the client's end or reset while waiting ends the wait."""
    with Bind(door(proxy), "127.0.0.1") as bind:
        bound = bind.bound
        if how == "end":
            bind.sock.shutdown(socket.SHUT_WR)
            assert read_all(bind.sock) == b""
        else:
            reset(bind.sock)
        record = proxy.access(protocol="bind")
        assert record["reason"] == ("client_aborted" if how == "end" else "client_reset")
    with pytest.raises(ConnectionRefusedError):
        dial(bound)


def test_bind_revoked(sluice):
    """C4: a reload that denies the peer's address ends the tunnel; one that does not leaves it."""
    proxy = sluice(CONFIG)
    with Bind(door(proxy), "127.0.0.1") as one, Bind(door(proxy), "0.0.0.0") as two, \
            dial(one.bound) as first, dial(two.bound, source="127.0.0.9") as second:
        one.second()
        two.second()
        proxy.reload(CONFIG | {"acl": [{"action": "deny", "destinations": ["127.0.0.9"]}]})
        assert is_closed(second)
        first.sendall(b"x")
        assert read_exactly(one.sock, 1) == b"x"


def test_bind_drain(proxy):
    """C2: a proxy that drains does not wait for peers that may never come."""
    with Bind(door(proxy), "127.0.0.1") as bind:
        proxy.signal(signal.SIGTERM)
        with pytest.raises(Refused):
            bind.second()
        bind.sock.close()
        assert proxy.wait_end(8) == 0
    assert proxy.access(protocol="bind")["reason"] == "drained"
