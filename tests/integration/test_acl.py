# SPDX-License-Identifier: Apache-2.0
"""Which destinations may be reached (A2): rules of all kinds, the guard of local addresses."""

import random
import time

import pytest

from kit.http import Client
from kit.net import dial, free_port, is_closed, read_exactly
from kit.socks import TUNNELS, Refused, connect, socks4, socks5

DENIED = {"connect": 403, "socks5": 2, "socks4": 91, "http": 403}


def attempt(proxy, host, port, how="connect", listener="main", **options):
    """'ok', or the code of the refusal."""
    address = proxy.listeners()[listener]
    if how == "http":
        with Client(address, **options) as client:
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            status = client.get(f"http://{place}/").status
            return "ok" if status == 200 else status
    try:
        TUNNELS[how](address, host, port, **options).close()
    except Refused as refused:
        return refused.code
    return "ok"


def outside(proxy_config=None):
    """A listener that treats local destinations as one on an outside address does."""
    return [{"name": "main", "address": "127.0.0.1:0", "allow_local": False} | (proxy_config or {})]


# Each kind of condition

@pytest.mark.parametrize("how", ["connect", "socks5", "socks4", "http"])
def test_destination(sluice, origin, how):
    """A2: blocks of addresses; the answer of each protocol."""
    proxy = sluice({"acl": [{"name": "no-loopback", "action": "deny",
                             "destinations": ["127.0.0.0/8", "::1"]}]})
    assert attempt(proxy, "127.0.0.1", origin.port, how) == DENIED[how]
    assert not origin.connections
    record = proxy.access()
    assert record["reason"] == "acl_denied"
    assert record["rule"] == "no-loopback"


def test_destination_of_a_name(sluice, dns, origin):
    """A2 B6: a name is decided by the address that is connected."""
    dns.zone["in.test"] = ["127.0.0.1"]
    dns.zone["both.test"] = ["127.0.0.1", "127.0.0.2"]
    proxy = sluice({"dns": {"servers": [dns.name]}, "acl": [
        {"action": "deny", "destinations": ["127.0.0.1"]}]})
    assert attempt(proxy, "in.test", origin.port) == 403
    assert attempt(proxy, "both.test", origin.port) == 502, "the permitted address only"
    assert not origin.connections


def test_user_and_group(sluice, origin):
    """A2: by user, by group, and whoever has logged in."""
    users = [{"name": n, "password": "x", "groups": g} for n, g in
             (("ann", ["staff"]), ("ben", ["guests"]), ("cat", []), ("dan", ["staff", "guests"]))]
    proxy = sluice({"users": users, "acl": [
        {"action": "deny", "users": ["dan"]},
        {"action": "allow", "groups": ["staff"]},
        {"action": "deny", "groups": ["guests"]},
        {"action": "allow", "users": ["*"]}]})
    expected = {"ann": "ok", "ben": 403, "cat": "ok", "dan": 403}
    for user, outcome in expected.items():
        assert attempt(proxy, "127.0.0.1", origin.port, user=user, password="x") == outcome, user


def test_source_and_listener(sluice, origin):
    """A2: by the client's address, and by the listener."""
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0"},
                                  {"name": "side", "address": "127.0.0.1:0"}],
                    "acl": [{"action": "deny", "sources": ["127.0.0.4/30"]},
                            {"action": "deny", "listeners": ["side"]}]})
    assert attempt(proxy, "127.0.0.1", origin.port) == "ok"
    for source, outcome in (("127.0.0.3", "ok"), ("127.0.0.4", 403), ("127.0.0.7", 403),
                            ("127.0.0.8", "ok")):
        assert attempt(proxy, "127.0.0.1", origin.port, source=source) == outcome
    assert attempt(proxy, "127.0.0.1", origin.port, listener="side") == 403


def test_port(sluice, origin):
    """A2: single ports and ranges."""
    port = origin.port
    for ports, outcome in (([port], 403), ([f"{port - 1}-{port + 1}"], 403), ([port + 1], "ok"),
                           ([f"1-{port - 1}", f"{port + 1}-65535"], "ok")):
        proxy = sluice({"acl": [{"action": "deny", "ports": ports}]})
        assert attempt(proxy, "127.0.0.1", port) == outcome, ports


def test_protocol(sluice, origin, echo_server):
    """A2: by protocol."""
    protocols = ["http", "connect", "socks4", "socks5"]
    for denied in protocols:
        proxy = sluice({"acl": [{"action": "deny", "protocols": [denied]}]})
        for how in protocols:
            assert attempt(proxy, "127.0.0.1", origin.port, how) == \
                (DENIED[how] if how == denied else "ok")
    assert not echo_server.connections


def test_domain(sluice, dns, origin):
    """A2: exact names, suffixes, names only below; addresses match no name."""
    names = ["exact.test", "sub.exact.test", "tree.test", "a.b.tree.test", "below.test",
             "x.below.test", "nottree.test"]
    for name in names:
        dns.zone[name] = ["127.0.0.1"]
    proxy = sluice({"dns": {"servers": [dns.name]}, "acl": [
        {"action": "deny", "domains": ["EXACT.test", ".tree.test", "*.below.test"]}]})
    denied = {"exact.test", "tree.test", "a.b.tree.test", "x.below.test"}
    for name in names:
        for spelled in (name, name.upper(), name + "."):
            assert attempt(proxy, spelled, origin.port) == (403 if name in denied else "ok"), spelled
    assert attempt(proxy, "127.0.0.1", origin.port) == "ok"
    assert all(dns.count(name) == 0 for name in denied), "what is denied is not looked up"


def test_domains_file(sluice, dns, origin, folder):
    """A2: 100,000 names from a file load quickly and are looked up at once; a reload reads it anew."""
    chosen = random.Random(5)
    names = [f"{chosen.randrange(1 << 40):x}.host{i}.test" for i in range(100000)]
    file = folder / "blocked"
    file.write_text("# blocked\n\n" + "\n".join(names[:50000]) + "\n." + "\n.".join(names[50000:]))
    file.chmod(0o644)
    for name in (names[7], names[77777], "free.test"):
        dns.zone[name] = dns.zone[f"www.{name}"] = ["127.0.0.1"]
    began = time.monotonic()
    proxy = sluice({"dns": {"servers": [dns.name]}, "acl": [
        {"name": "blocked", "action": "deny", "domains_files": [str(file)]}]})
    assert time.monotonic() - began < 5
    assert attempt(proxy, names[7], origin.port) == 403
    assert attempt(proxy, f"www.{names[7]}", origin.port) == "ok"
    assert attempt(proxy, names[77777], origin.port) == 403
    assert attempt(proxy, f"www.{names[77777]}", origin.port) == 403
    assert attempt(proxy, "free.test", origin.port) == "ok"
    file.write_text("free.test\n")
    proxy.reload()
    assert attempt(proxy, names[7], origin.port) == "ok"
    assert attempt(proxy, "free.test", origin.port) == 403


def test_time_window(sluice, origin):
    """A2: windows of weekday and hour, in a time zone."""
    zone = "Pacific/Kiritimati"  # UTC+14
    now = time.gmtime(time.time() + 14 * 3600)
    minute = now.tm_hour * 60 + now.tm_min
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

    def text(m):
        m %= 24 * 60
        return f"{m // 60:02}:{m % 60:02}"
    today, other = days[now.tm_wday], days[(now.tm_wday + 3) % 7]
    inside = {"from": text(minute - 5), "to": text(minute + 10), "zone": zone}
    if minute < 5:
        inside = {"from": "00:00", "to": "01:00", "zone": zone}
    if minute > 24 * 60 - 11:
        inside = {"from": text(minute - 5), "to": "24:00", "zone": zone}
    for window, outcome in (
            (inside | {"days": [today]}, 403), (inside | {"days": [other]}, "ok"),
            ({"from": text(minute + 60), "to": text(minute + 120), "zone": zone}, "ok"),
            ({"days": [today], "zone": zone}, 403)):
        proxy = sluice({"acl": [{"action": "deny", "time": window}]})
        assert attempt(proxy, "127.0.0.1", origin.port) == outcome, window


def test_first_match_and_default(sluice, origin):
    """A2: the first rule that matches decides, then the default."""
    port = origin.port
    proxy = sluice({"acl_default": "deny", "acl": [
        {"name": "one", "action": "allow", "ports": [port], "sources": ["127.0.0.2"]},
        {"name": "two", "action": "deny", "ports": [port]},
        {"name": "three", "action": "allow", "ports": [port]}]})
    assert attempt(proxy, "127.0.0.1", port, source="127.0.0.2") == "ok"
    assert attempt(proxy, "127.0.0.1", port) == 403
    assert attempt(proxy, "127.0.0.1", free_port()) == 403
    assert {r.get("rule") for r in proxy.wait_access(count=3)} == {"one", "two", None}


def test_every_request_is_decided(sluice, dns, origin):
    """A2: requests on one connection are decided one by one, pooled connections too."""
    dns.zone["good.test"] = dns.zone["bad.test"] = ["127.0.0.1"]
    proxy = sluice({"dns": {"servers": [dns.name]}, "workers": 1,
                    "acl": [{"action": "deny", "domains": ["bad.test"]}]})
    with Client(proxy.address) as client:
        for _ in range(3):
            assert client.get(f"http://good.test:{origin.port}/json").status == 200
            assert client.get(f"http://bad.test:{origin.port}/json").status == 403
    assert len(origin.connections) == 1


# Local destinations

LITERALS = ["127.0.0.1", "127.255.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1",
            "::ffff:7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "169.254.169.254", "169.254.0.1",
            "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "224.0.0.1",
            "ff02::1", "255.255.255.255", "100.100.100.200"]


@pytest.mark.parametrize("address", LITERALS)
def test_local_literals(sluice, address):
    """A2: loopback, unspecified, link-local, multicast and metadata addresses in every spelling."""
    proxy = sluice({"listeners": outside(), "timeouts": {"connect": "2s"}})
    for how in ("connect", "socks5"):
        assert attempt(proxy, address, 80, how) == DENIED[how]
    assert {r["reason"] for r in proxy.wait_access(count=2)} == {"local_destination_denied"}


def test_names_that_are_local(sluice, dns, origin):
    """A2: names that resolve there, and numbers that only look like names."""
    dns.zone["inside.test"] = ["127.0.0.1"]
    dns.zone["six.test"] = ["::ffff:127.0.0.1"]
    dns.zone["meta.test"] = ["169.254.169.254"]
    proxy = sluice({"listeners": outside(), "dns": {"servers": [dns.name]}})
    for name in ("inside.test", "meta.test"):
        assert attempt(proxy, name, origin.port) == 403, name
        assert attempt(proxy, name, origin.port, "http") == 403, name
    for name in ("six.test", "localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1."):
        assert attempt(proxy, name, origin.port) in (400, 403, 502), name
    assert not origin.connections


def test_rebinding_name(sluice, dns, origin, servers):
    """A2: the address that is connected is the one that was judged, at each attempt."""
    dns.ttl = 0
    dns.zone["turn.test"] = ["127.0.0.1"]
    proxy = sluice({"listeners": outside(), "dns": {"servers": [dns.name], "ttl_min": "0s"}})
    for _ in range(3):
        assert attempt(proxy, "turn.test", origin.port) == 403
    assert not origin.connections
    assert servers is not None


def test_local_allowed_by_rule(sluice, origin):
    """A2: a rule for a local block opens it; one for everything does not."""
    proxy = sluice({"listeners": outside(), "acl": [{"action": "allow", "destinations": ["0.0.0.0/0"]}]})
    assert attempt(proxy, "127.0.0.1", origin.port) == 403
    proxy = sluice({"listeners": outside(),
                    "acl": [{"action": "allow", "destinations": ["127.0.0.0/8"]}]})
    assert attempt(proxy, "127.0.0.1", origin.port) == "ok"


def test_local_by_default(sluice, origin):
    """A2: through a listener on loopback, loopback may be reached; on all addresses not."""
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0"},
                                  {"name": "all", "address": ":0", "open": True}]})
    assert attempt(proxy, "127.0.0.1", origin.port) == "ok"
    host, port = proxy.listeners()["all"]
    assert host in ("::", "0.0.0.0")
    with pytest.raises(Refused) as refused:
        connect(("127.0.0.1", port), "127.0.0.1", origin.port)
    assert refused.value.code == 403


def test_admin_address_is_never_reached(sluice):
    """A2 Q3: not even through a loopback listener or by a rule."""
    port = free_port()
    proxy = sluice({"admin": {"address": f"127.0.0.1:{port}"},
                    "acl": [{"action": "allow", "destinations": ["127.0.0.0/8", "::ffff:127.0.0.1"]}]})
    for host in ("127.0.0.1", "::ffff:127.0.0.1"):
        for how in ("connect", "socks5", "http"):
            assert attempt(proxy, host, port, how) == DENIED[how], (host, how)
    reasons = {r["reason"] for r in proxy.wait_access(count=6)}
    assert reasons == {"admin_destination_denied"}
    # by name: ::1 refuses, and 127.0.0.1 is not tried
    assert attempt(proxy, "localhost", port) in (403, 502)


def test_exposed_needs_a_decision(sluice):
    """A2 C1: an anonymous forward listener on an outside address refuses to start."""
    proxy = sluice({"listeners": [{"name": "main", "address": ":0"}]}, ready=False)
    assert proxy.wait_end() == 1
    text = proxy.logs.text()
    assert "open: true" in text and "sluice.yaml" in text
    for more in ({"open": True}, {"users": [{"name": "a", "password": "b"}]}, {"forward": False}):
        config = {"listeners": [{"name": "main", "address": ":0"} | more]}
        if "forward" in more:
            config["listeners"][0]["protocols"] = ["http"]
            config["routes"] = [{"hosts": ["a.test"], "to": ["127.0.0.1:1"]}]
        sluice(config)


def test_accepted_protocols(sluice, echo_server):
    """P1: a listener takes only what it is told to take."""
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0",
                                   "protocols": ["socks5"]}]})
    socks5(proxy.address, *echo_server.address).close()
    with pytest.raises(EOFError):
        socks4(proxy.address, *echo_server.address)
    sock = dial(proxy.address)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert is_closed(sock)
    assert len(proxy.wait_access(count=2, reason="protocol_refused")) == 2


def test_forward_false(sluice, origin):
    """P1 H1: a listener that is no forward proxy serves only routes."""
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0", "forward": False,
                                   "protocols": ["http"]}],
                    "routes": [{"hosts": ["web.test"], "to": [origin.name]}]})
    with Client(proxy.address) as client:
        client.request("GET /json HTTP/1.1", ["Host: web.test"])
        assert client.response().status == 200
        assert client.get(origin.url()).status == 403
    for how in TUNNELS:
        with pytest.raises((Refused, EOFError)):
            TUNNELS[how](proxy.address, *origin.address)
    assert len(origin.requests) == 1


def test_rule_log_of_allowed(sluice, echo_server):
    """A2 O2: the log names the rule that allowed, too."""
    proxy = sluice({"acl": [{"name": "mine", "action": "allow", "destinations": ["127.0.0.1"]}]})
    sock = socks5(proxy.address, *echo_server.address)
    sock.sendall(b"x")
    read_exactly(sock, 1)
    sock.close()
    assert proxy.access()["rule"] == "mine"
