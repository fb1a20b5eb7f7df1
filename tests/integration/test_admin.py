# SPDX-License-Identifier: Apache-2.0
"""The admin API and its page (O1, O3, O5, C2; the sandbox: Q3)."""

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as classic_families

from kit.browser import Browser, chromium
from kit.net import Source, free_port, read_exactly, reset
from kit.proxy import split_address
from kit.socks import socks5
from kit.wait import until

ADMIN = {"admin": {"address": "127.0.0.1:0"}}


class Admin:
    """Requests to the admin API of one proxy."""

    def __init__(self, proxy):
        self.address = split_address(proxy.wait_log("admin API listening")["address"])

    def ask(self, method, path, **fields):
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in fields.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def get(self, path, **fields):
        status, _, body = self.ask("GET", path, **fields)
        assert status == 200, (status, body)
        return body

    def json(self, path):
        return json.loads(self.get(path))


@pytest.fixture
def admin(sluice):
    def start(config=None, **options):
        proxy = sluice(ADMIN | (config or {}), **options)
        return proxy, Admin(proxy)
    return start


def test_health_and_readiness(admin, echo_server):
    """O3: ready until it drains; alive all the time."""
    proxy, api = admin()
    assert api.get("/healthz") == "alive\n"
    assert api.get("/ready") == "ready\n"
    with socks5(proxy.address, *echo_server.address) as tunnel:
        assert api.ask("POST", "/drain")[0] == 202
        assert api.ask("GET", "/ready")[0] == 503
        tunnel.sendall(b"still here")
        assert read_exactly(tunnel, 10) == b"still here"
    assert proxy.wait_end() == 0


def test_metrics_are_valid(admin, origin, curl):
    """O1: both formats parse; what was moved is counted."""
    proxy, api = admin({"users": [{"name": "alice", "password": "secret"}]})
    curl("-x", proxy.url(), "-U", "alice:secret", origin.url("/bytes/5000"), text=False)
    proxy.wait_access(user="alice")
    accept = "application/openmetrics-text;version=1.0.0"
    _, headers, page = api.ask("GET", "/metrics?users=1", Accept=accept)
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    families = {f.name: f for f in text_string_to_metric_families(page)}
    moved = {(s.labels["protocol"], s.labels["direction"]): s.value
             for s in families["sluice_relay_bytes"].samples if s.labels["mover"] == "copy"}
    assert moved["http", "down"] >= 5000
    assert any(s.labels.get("user") == "alice" and s.value >= 5000
               for f in families.values() for s in f.samples)
    assert list(classic_families(api.get("/metrics", Accept="text/plain")))
    assert "alice" not in api.get("/metrics")


def test_connections(admin, echo_server):
    """O3 O5: the table, its filters, one connection with its events, and its end."""
    proxy, api = admin()
    tunnels = [socks5(proxy.address, *echo_server.address) for _ in range(3)]
    tunnels[1].sendall(b"x" * 1000)
    read_exactly(tunnels[1], 1000)
    table = api.json("/connections?sort=bytes")
    assert table["matched"] == 3
    first = table["connections"][0]
    assert first["protocol"] == "socks5" and first["phase"] == "relay"
    assert first["upstream"] == echo_server.name
    assert first["up"]["copied"] == first["down"]["copied"] == 1000
    assert len(api.json("/connections?limit=2")["connections"]) == 2
    assert api.json("/connections?protocol=http")["matched"] == 0
    assert api.json("/connections?client=127.0.0.1&phase=relay")["matched"] == 3
    assert api.json(f"/connections?destination=:{echo_server.port}")["matched"] == 3
    assert api.ask("GET", "/connections?limit=0")[0] == 400
    assert api.ask("GET", "/connections?sort=color")[0] == 400
    one = api.json(f"/connections/{first['id']}")
    # the access log's way to write it
    assert api.json(f"/connections/{first['session']}")["connection"]["id"] == first["id"]
    assert one["connection"]["id"] == first["id"]
    assert {"accepted", "state"} <= {e["event"] for e in one["events"]}
    assert api.ask("GET", f"/connections/{first['id']}/close")[0] in (404, 405)
    assert api.ask("POST", f"/connections/{first['id']}/close")[0] == 200
    with pytest.raises(ConnectionResetError):
        while tunnels[1].recv(100):
            pass
    assert proxy.wait_access(reason="admin_closed")
    until(lambda: api.json("/connections")["matched"] == 2)
    assert api.ask("POST", f"/connections/{first['id']}/close")[0] == 404
    for tunnel in tunnels:
        tunnel.close()


def test_abnormal_ends_are_kept(admin, servers):
    """O5: what ended badly is shown with its events."""
    def slam(sock, _number):
        read_exactly(sock, 1)
        reset(sock)
    server = servers.serve(slam)
    proxy, api = admin()
    with socks5(proxy.address, *server.address) as tunnel:
        tunnel.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            while tunnel.recv(100):
                pass
    ended = until(lambda: api.json("/connections/closed")["closed"])[0]
    assert ended["reason"] == "upstream_reset"
    assert ended["events"][-1]["event"] == "closed"
    assert proxy.wait_access(reason="upstream_reset")


def test_configuration_is_shown_without_secrets(admin):
    """C1: the effective configuration, secrets masked."""
    _, api = admin({"users": [{"name": "alice", "password": "topsecret"}]})
    text = api.get("/config")
    assert "alice" in text and "topsecret" not in text and "***" in text
    json.loads(text)


def test_reload(admin):
    """C2: a reload says what is wrong, and changes nothing then."""
    proxy, api = admin()
    assert api.ask("POST", "/reload")[0] == 200
    proxy.write('{"listeners": [{"name": "main", "adress": "127.0.0.1:0"}]}')
    status, _, why = api.ask("POST", "/reload")
    assert status == 422
    assert "adress" in why and "address" in why
    assert 'result="failure"' in api.get("/metrics")
    assert api.json("/stats")["reload_failed"] is True


def test_log_levels(admin):
    """O2: levels per module at run time."""
    _, api = admin()
    assert api.json("/loglevel")["dns"] == "info"
    assert api.ask("POST", "/loglevel?module=dns&level=debug")[0] == 200
    assert api.json("/loglevel")["dns"] == "debug"
    assert api.json("/loglevel")["http"] == "info"
    assert api.ask("POST", "/loglevel?level=warn")[0] == 200
    assert set(api.json("/loglevel").values()) == {"warn"}
    assert api.ask("POST", "/loglevel?level=loud")[0] == 400
    assert api.ask("POST", "/loglevel?module=nope&level=info")[0] == 400


@pytest.mark.parametrize("fields", [
    {"Host": "evil.example"}, {"Host": "evil.example:{port}"}, {"Host": "127.0.0.1:1"},
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "https://127.0.0.1:{port}"},
    {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
])
def test_foreign_requests_are_refused(admin, fields):
    """Issue: a foreign Host or Origin is refused, so no web page can use a browser of this machine."""
    _, api = admin()
    fields = {k: v.format(port=api.address[1]) for k, v in fields.items()}
    for method, path in (("GET", "/stats"), ("POST", "/drain")):
        status, headers, _ = api.ask(method, path, **fields)
        assert status == 403
        assert "Access-Control-Allow-Origin" not in headers
    assert api.get("/ready")


def test_own_requests_pass(admin):
    """The address, localhost, and admin.hosts are this server's names."""
    _, api = admin({"admin": {"address": "127.0.0.1:0", "hosts": ["proxy.internal"]}})
    port = api.address[1]
    for name in (f"127.0.0.1:{port}", f"localhost:{port}", f"proxy.internal:{port}"):
        assert api.get("/healthz", Host=name, Origin=f"http://{name}", Sec_Fetch_Site="same-origin")


def test_changes_are_posted(admin):
    """Issue: changes only by POST."""
    _, api = admin()
    for path in ("/reload", "/drain"):
        assert api.ask("GET", path)[0] == 405
        assert api.ask("PUT", path)[0] == 405
    assert api.ask("POST", "/stats")[0] == 405
    assert api.ask("GET", "/nothing")[0] == 404


def test_bad_requests(admin):
    """Q2: what is no request gets 400 and a close; many of them do not keep others out."""
    _, api = admin()
    for garbage in (b"GET / HTTP/1.1\nHost: x\n\n", b"\x16\x03\x01\x02\x00", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
                    b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(api.address, timeout=10) as sock:
            answer = b""
            try:
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    answer += piece
            except OSError:
                pass  # it was closed already
            assert not answer or answer.startswith(b"HTTP/1.1 4"), answer
    idle = [socket.create_connection(api.address, timeout=10) for _ in range(20)]
    assert api.get("/healthz")
    for sock in idle:
        sock.close()


def test_it_is_not_reached_through_the_proxy(admin, curl):
    """A2: the admin address is never a destination, by whatever name."""
    proxy, api = admin()
    port = api.address[1]
    for url in (f"http://127.0.0.1:{port}/stats", f"http://localhost:{port}/stats",
                f"http://[::ffff:127.0.0.1]:{port}/stats"):
        done = curl("-x", proxy.url(), "-o", "/dev/null", "-w", "%{http_code}", url, check=False)
        assert done.stdout in ("403", "502"), url  # 502: localhost is ::1 too, where nobody listens


def test_page_in_a_browser(admin, folder):
    """O3: the page works with its own files alone and says nothing on the console."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        pytest.skip("no Chromium on this machine")
    _, api = admin()
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--enable-logging=stderr", f"--user-data-dir={folder}/chromium", "--virtual-time-budget=4000", "--dump-dom",
         f"http://127.0.0.1:{api.address[1]}/"],
        capture_output=True, text=True, timeout=90, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    assert re.search(r'id="state"[^>]*>version ', done.stdout), done.stdout
    assert not re.search(r'(src|href)="(?!/|data:)', done.stdout)


@pytest.mark.parametrize("phone", [False, True])
def test_live_page_shows_traffic(admin, folder, servers, phone):
    """O3: charts and tables live for some seconds, fit a phone, and ask no other server."""
    if not chromium():
        pytest.skip("no Chromium on this machine")
    source = servers.serve(Source(1 << 30, rate=4 << 20))
    proxy, api = admin({"users": [{"name": "alice", "password": "secret"}]})
    page = f"http://127.0.0.1:{api.address[1]}/"
    browser = servers.add(Browser(folder))
    with socks5(proxy.address, *source.address, user="alice", password="secret") as tunnel:
        reader = threading.Thread(target=read_all_quietly, args=(tunnel,), daemon=True)
        reader.start()
        browser.open(page, width=390 if phone else 1280, phone=phone, dark=phone)
        browser.watch(5)
        shown = browser.eval("document.body.innerText")
        bands = browser.eval("document.querySelectorAll('#chart-down path').length")
        wide = browser.eval("document.documentElement.scrollWidth - innerWidth")
        tunnel.shutdown(socket.SHUT_RDWR)
        reader.join(10)
    assert "version " in shown and "alice" in shown and source.name in shown
    assert re.search(r"[1-9][\d.]* Mbit/s", shown), shown
    assert bands == 1
    assert wide <= 0
    assert browser.console == []
    assert all(url.startswith(page) or url.startswith("data:") for url in browser.requests)


def read_all_quietly(sock):
    try:
        while sock.recv(1 << 18):
            pass
    except OSError:
        pass


def test_a_page_of_another_site_cannot_use_it(admin, folder, origin, servers):
    """Issue: a foreign Origin is refused: here by a real browser, with a form and with fetch."""
    if not chromium():
        pytest.skip("no Chromium on this machine")
    _, api = admin()
    target = f"http://127.0.0.1:{api.address[1]}"
    browser = servers.add(Browser(folder))
    browser.open(origin.url("/json"))
    browser.watch(1)
    for mode in ("no-cors", "cors"):
        browser.eval(f"fetch('{target}/drain', {{method: 'POST', mode: '{mode}'}}).catch(() => 0)"
                     ".then(() => 0)")
        assert browser.eval(f"fetch('{target}/stats', {{mode: '{mode}'}})"
                            ".then(r => r.text(), () => '')") == ""
    browser.eval("(() => { const f = document.createElement('form'); f.method = 'POST';"
                 f" f.action = '{target}/drain'; document.documentElement.append(f);"
                 " f.submit(); })()")
    browser.watch(1)
    assert api.get("/ready") == "ready\n"


def thread_status(pid):
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines()
                   if ":\t" in line)


def test_sandbox(admin, origin, curl, echo_server):
    """Q3: every thread is filtered and cannot gain privileges; everything still works inside."""
    proxy, api = admin()
    if "filter is off" in proxy.logs.text():
        pytest.skip("a sanitizer's build has no filter")
    statuses = list(thread_status(proxy.pid))
    assert len(statuses) >= 3
    for status in statuses:
        assert status["Seccomp"].strip() == "2"
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Uid"].split()[0] != "0"
        assert int(status["CapEff"], 16) in (0, 1 << 10), "at most CAP_NET_BIND_SERVICE"
    assert api.ask("POST", "/reload")[0] == 200
    proxy.signal(signal.SIGUSR1)
    proxy.wait_log("log files reopened")
    for kind in ("http", "socks4", "socks5", "socks5h"):
        assert curl("-x", proxy.url(kind), origin.url("/json"))
    with socks5(proxy.address, *echo_server.address) as tunnel:
        tunnel.sendall(b"hello")
        assert read_exactly(tunnel, 5) == b"hello"


def test_sandbox_can_be_switched_off(admin):
    """Q3: sandbox.seccomp: false."""
    proxy, _ = admin({"sandbox": {"seccomp": False}})
    assert all(s["Seccomp"].strip() == "0" and s["NoNewPrivs"].strip() == "1"
               for s in thread_status(proxy.pid))


def test_reload_moves_the_admin_address(admin, curl):
    """C2: another admin address is taken by a reload, guarded at once, and can be switched off."""
    proxy, api = admin()
    assert api.ask("POST", "/reload")[0] == 200
    assert api.get("/healthz"), "port 0 keeps its port"
    old, moved = api.address, free_port()
    proxy.write({"admin": {"address": f"127.0.0.1:{moved}"}})
    status, _, why = api.ask("POST", "/reload")
    assert status == 200, why
    api.address = ("127.0.0.1", moved)
    assert api.get("/healthz")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(old, timeout=5)
    for port in (moved,):
        done = curl("-x", proxy.url(), "-o", "/dev/null", "-w", "%{http_code}",
                    f"http://127.0.0.1:{port}/stats", check=False)
        assert done.stdout == "403"
    with socket.create_connection(api.address, timeout=5) as idle:
        assert api.ask("POST", "/reload")[0] == 200
        proxy.write({"admin": {"address": "off"}})
        assert api.ask("POST", "/reload")[0] == 200, "the request that switches it off is answered"
        assert idle.recv(10) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(api.address, timeout=5)
    proxy.write(ADMIN)
    seen = len(proxy.logs.read())
    proxy.reload()
    api.address = split_address(proxy.wait_log("admin API listening", after=seen)["address"])
    assert api.get("/ready")


def test_reload_with_an_admin_address_in_use(admin, echo_server):
    """C2: an address that cannot be had fails the reload with the reason, and the old one stays."""
    proxy, api = admin()
    proxy.write({"admin": {"address": echo_server.name}})
    status, _, why = api.ask("POST", "/reload")
    assert status == 422 and "admin.address" in why and echo_server.name in why
    assert api.get("/healthz")
    done = socks5(proxy.address, *echo_server.address)
    done.close()


def test_the_admin_address_stays_guarded_after_a_reload(admin, curl):
    """A2: port 0 in the configuration does not unguard the port that the kernel chose."""
    proxy, api = admin()
    for _ in range(2):
        proxy.reload()
        done = curl("-x", proxy.url(), "-o", "/dev/null", "-w", "%{http_code}",
                    f"http://127.0.0.1:{api.address[1]}/stats", check=False)
        assert done.stdout == "403"


def test_silent_connections_do_not_keep_others_out(admin):
    """Q2: the oldest idle connection gives way when the admin API has its full number."""
    _, api = admin()
    idle = [socket.create_connection(api.address, timeout=10) for _ in range(80)]
    assert api.get("/healthz")
    assert idle[0].recv(10) == b""
    for sock in idle:
        sock.close()


def test_pipelined_and_cut_requests(admin):
    """Several requests in one segment, one request byte by byte, content that nobody reads."""
    _, api = admin()
    host = f"{api.address[0]}:{api.address[1]}"
    one = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    post = f"POST /loglevel?level=info HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello".encode()
    with socket.create_connection(api.address, timeout=10) as sock:
        sock.sendall(one * 50 + post + one * 49)
        answer = b""
        while answer.count(b"HTTP/1.1 200") < 100 or not answer.endswith(b"alive\n"):
            piece = sock.recv(65536)
            assert piece, answer
            answer += piece
        for byte in one:
            sock.sendall(bytes([byte]))
        assert sock.recv(65536).endswith(b"alive\n")


def test_answers_say_what_is_allowed(admin):
    """405 has Allow; HEAD is GET without content; every answer is closed to other sites."""
    _, api = admin()
    assert api.ask("GET", "/reload")[1]["Allow"] == "POST"
    assert api.ask("POST", "/stats")[1]["Allow"] == "GET, HEAD"
    assert api.ask("DELETE", "/loglevel")[1]["Allow"] == "GET, HEAD, POST"
    status, headers, body = api.ask("HEAD", "/stats")
    assert status == 200 and body == "" and int(headers["Content-Length"]) > 100
    assert headers["Allow"] is None
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_large_tables(admin, servers):
    """O3: filters, order and limit hold when a worker gives its connections in several steps."""
    def answer(sock, number):
        sock.sendall(b"x" * number)  # from 1
        sock.recv(1)
    server = servers.serve(answer)
    proxy, api = admin()
    tunnels = [socks5(proxy.address, *server.address) for _ in range(300)]
    for tunnel in tunnels:
        assert tunnel.recv(1)
    everything = api.json("/connections?limit=10000")
    assert everything["matched"] == len(everything["connections"]) == 300
    ids = [c["id"] for c in everything["connections"]]
    assert ids == sorted(ids) and len(set(ids)) == 300
    few = api.json("/connections?limit=7")
    assert few["matched"] == 300 and [c["id"] for c in few["connections"]] == ids[:7]
    largest = api.json("/connections?limit=20&sort=bytes")["connections"]
    moved = [c["down"]["copied"] + c["down"]["spliced"] for c in largest]
    assert moved == list(range(300, 280, -1))
    assert api.json("/connections?destination=nowhere")["matched"] == 0
    assert all(c["unanswered"] == 0 for c in (everything, few))
    for tunnel in tunnels:
        tunnel.close()
