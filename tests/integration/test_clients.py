# SPDX-License-Identifier: Apache-2.0
"""Real clients: a browser, ssh and scp, WebSocket, a SOCKS library (P2, P5, P8)."""

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from contextlib import ExitStack

import pytest
import socks as pysocks
from websockets.sync.client import connect as websocket
from websockets.sync.server import serve as websocket_server

from kit.net import dial, free_port, random_bytes
from kit.socks import connect, socks5
from kit.wait import until

PAGE = """<!doctype html><title>Test</title><p id=result>nothing</p><script>
Promise.all([
  fetch("/bytes/100000").then(r => r.arrayBuffer()).then(b => b.byteLength),
  fetch("/echo", {method: "POST", body: "x".repeat(50000)}).then(r => r.text()).then(t => t.length),
  fetch("/chunked/70000").then(r => r.arrayBuffer()).then(b => b.byteLength),
  ...Array.from({length: 20}, (_, i) => fetch("/bytes/" + i).then(r => r.arrayBuffer())),
]).then(all => { document.getElementById("result").textContent = "loaded " + all.slice(0, 3); })
  .catch(e => { document.getElementById("result").textContent = "failed " + e; });
</script>"""


# A browser

@pytest.fixture
def browse(sluice, dns, folder):
    """Loads the test page in Chromium through a proxy: (proxy, what the page says)."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("chromium is not installed")

    def load(kind, origin):
        def page(stream, request):
            origin.reply(stream, request, body=PAGE.encode(), fields=["Content-Type: text/html"])
            return True
        origin.routes["/page"] = page
        # What the browser asks its maker for finds no name.
        proxy = sluice({"dns": {"servers": [dns.name]}})
        host, port = proxy.address
        done = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--ignore-certificate-errors", f"--user-data-dir={folder}/profile",
             "--proxy-bypass-list=<-loopback>", f"--proxy-server={kind}://{host}:{port}",
             "--virtual-time-budget=20000", "--dump-dom",
             f"{'https' if origin.tls else 'http'}://{origin.name}/page"],
            capture_output=True, text=True, timeout=90, check=False)
        return proxy, done.stdout + done.stderr[-3000:]
    return load


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_browser(browse, origin, kind):
    """P2 P5: Chromium loads a page with fetches, an upload and chunks through the proxy."""
    proxy, said = browse(kind, origin)
    assert "loaded 100000,50000,70000" in said, said
    assert len(origin.requests) >= 24
    assert proxy.wait_access(protocol=kind, host="127.0.0.1")
    if kind == "http":
        assert origin.requests[0].get("via")


def test_browser_tls(browse, tls_origin):
    """P2: the same over CONNECT."""
    proxy, said = browse("http", tls_origin)
    assert "loaded 100000,50000,70000" in said, said
    records = proxy.wait_access(protocol="connect", host="127.0.0.1")
    assert any(r["bytes_down"] > 50000 for r in records)


# ssh

CONNECTOR = textwrap.dedent("""\
    import os, select, sys
    sys.path.insert(0, {path!r})
    from kit.socks import TUNNELS
    sock = TUNNELS[{kind!r}](({host!r}, {port}), sys.argv[1], int(sys.argv[2]), timeout=20)
    sock.settimeout(None)
    from_us, from_them = 0, sock.fileno()
    watched = [from_us, from_them]
    while from_them in watched:
        for fd in select.select(watched, [], [])[0]:
            data = os.read(fd, 65536)
            if fd == from_us:
                if data:
                    sock.sendall(data)
                else:
                    sock.shutdown(1)
                    watched.remove(fd)
            elif data:
                while data:
                    data = data[os.write(1, data):]
            else:
                watched.remove(fd)
    """)


@pytest.fixture
def sshd(folder):
    """Our own sshd with its own keys: (port, options for ssh)."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    if not os.path.exists(program) or not shutil.which("ssh"):
        pytest.skip("openssh is not installed")
    folder.chmod(0o755)  # sshd wants nobody else to be able to write there
    place = folder / "ssh"
    place.mkdir(mode=0o700)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], check=True)
    shutil.copy(place / "user.pub", place / "authorized")
    port = free_port()
    if os.getuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {place}/authorized\nPasswordAuthentication no\nStrictModes no\n"
        "PermitRootLogin yes\nSubsystem sftp internal-sftp\n")
    # pylint: disable-next=consider-using-with
    server = subprocess.Popen([program, "-D", "-e", "-f", place / "sshd_config"],
                              stderr=(place / "sshd.log").open("wb"))
    until(lambda: "Server listening" in (place / "sshd.log").read_text(), what="sshd")
    host_key = (place / "host.pub").read_text().split()
    (place / "known").write_text(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n"
                                 f"[localhost]:{port} {host_key[0]} {host_key[1]}\n")
    options = ["-F", "none", "-i", str(place / "user"), "-o", f"UserKnownHostsFile={place}/known",
               "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15"]
    yield port, options
    server.terminate()
    server.wait()


@pytest.fixture
def through(folder):
    """The ssh options that go through a proxy, by a small connector of ours."""
    def options(proxy, kind):
        script = folder / "connector.py"
        here = os.path.dirname(os.path.abspath(__file__))
        host, port = proxy.address
        script.write_text(CONNECTOR.format(path=here, kind=kind, host=host, port=port))
        return ["-o", f"ProxyCommand={sys.executable} {script} %h %p"]
    return options


USER = pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize("kind", ["socks5", "socks4", "connect"])
def test_ssh(sluice, sshd, through, kind):
    """P5 P6 P2 P8: a command over ssh; its output, both streams and the status come back."""
    port, options = sshd
    proxy = sluice()
    done = subprocess.run(
        ["ssh", *options, *through(proxy, kind), "-p", str(port), f"{USER}@127.0.0.1",
         "cat; echo problem >&2; exit 7"],
        input=b"hello\n" * 20000, capture_output=True, timeout=40, check=False)
    assert done.returncode == 7, done.stderr
    assert done.stdout == b"hello\n" * 20000
    assert b"problem" in done.stderr
    record = proxy.access(protocol=kind)
    assert record["bytes_up"] > 120000 and record["bytes_down"] > 120000


@pytest.mark.parametrize("kind", ["socks5", "connect"])
def test_scp(sluice, sshd, through, folder, kind):
    """P8 D1: random bytes there and back by scp."""
    port, options = sshd
    proxy = sluice()
    data = random_bytes(24 << 20)
    (folder / "here").write_bytes(data)
    common = ["scp", "-q", *options, *through(proxy, kind), "-P", str(port)]
    subprocess.run([*common, folder / "here", f"{USER}@127.0.0.1:{folder}/there"], check=True, timeout=60)
    subprocess.run([*common, f"{USER}@127.0.0.1:{folder}/there", folder / "back"], check=True, timeout=60)
    assert hashlib.sha256((folder / "back").read_bytes()).digest() == hashlib.sha256(data).digest()
    up, down = sorted(proxy.wait_access(count=2), key=lambda r: r["bytes_down"])
    assert up["bytes_up"] > len(data) and down["bytes_down"] > len(data)


def test_ssh_through_a_route(sluice, sshd):
    """P8 P1: the server greets first, the client waits: a raw TCP route needs no more."""
    port, options = sshd
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0", "protocols": ["tcp"]}],
                    "routes": [{"to": [f"127.0.0.1:{port}"]}]})
    done = subprocess.run(
        ["ssh", *options, "-o", f"HostKeyAlias=[127.0.0.1]:{port}", "-p", str(proxy.port),
         f"{USER}@127.0.0.1", "echo fine"], capture_output=True, text=True, timeout=40, check=False)
    assert done.stdout == "fine\n", done.stderr


# WebSocket

@pytest.fixture
def websocket_echo():
    """A real WebSocket server that sends back what comes: its port."""
    def handle(connection):
        for message in connection:
            connection.send(message)
    with websocket_server(handle, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()


def converse(connection):
    for message in ("hello", b"\0\1\2", "x" * 100000, random_bytes(3000000), ""):
        connection.send(message)
        assert connection.recv(timeout=15) == message
    pong = connection.ping()
    assert pong.wait(10)


def test_websocket_through_connect(sluice, websocket_echo):
    """P8 P2: the library's own proxy support: CONNECT."""
    proxy = sluice()
    with websocket(f"ws://127.0.0.1:{websocket_echo}/", proxy=proxy.url(), max_size=None) as one:
        converse(one)
    assert proxy.access(protocol="connect")["bytes_up"] > 3000000


@pytest.mark.parametrize("tunnel", [connect, socks5])
def test_websocket_through_our_tunnels(sluice, websocket_echo, tunnel):
    """P8 P5: over a tunnel that was made before."""
    proxy = sluice()
    sock = tunnel(proxy.address, "127.0.0.1", websocket_echo)
    with websocket(f"ws://127.0.0.1:{websocket_echo}/", sock=sock, proxy=None, max_size=None) as one:
        converse(one)


def test_websocket_by_upgrade(sluice, websocket_echo):
    """P8 P2: Upgrade in a routed request, the 101 of the real server, then frames both ways."""
    proxy = sluice({"routes": [{"hosts": ["ws.test"], "to": [f"127.0.0.1:{websocket_echo}"]}]})
    with websocket("ws://ws.test/", sock=dial(proxy.address), proxy=None, max_size=None) as one:
        converse(one)
    record = proxy.access(protocol="upgrade")
    assert record["bytes_up"] > 3000000 and record["bytes_down"] > 3000000
    assert record["bytes_spliced"] > 0


def test_many_websockets(sluice, websocket_echo):
    """P8 D5: a hundred at once, each with small messages."""
    proxy = sluice({"routes": [{"hosts": ["ws.test"], "to": [f"127.0.0.1:{websocket_echo}"]}]})
    with ExitStack() as stack:
        opened = [stack.enter_context(websocket("ws://ws.test/", sock=dial(proxy.address), proxy=None))
                  for _ in range(50)]
        for i, one in enumerate(opened * 3):
            one.send(f"message {i}")
            assert one.recv(timeout=10) == f"message {i}"
    assert len(proxy.wait_access(count=50, protocol="upgrade")) == 50


# Python's own

def test_pysocks(sluice, echo_server, origin):
    """P5 P6: PySocks with and without log-in, by address and by name."""
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0"},
                                  {"name": "users", "address": "127.0.0.1:0",
                                   "users": [{"name": "me", "password": "word"}]}]})
    for kind, listener, options in (
            (pysocks.SOCKS5, "main", {}), (pysocks.SOCKS4, "main", {}), (pysocks.HTTP, "main", {}),
            (pysocks.SOCKS5, "users", {"username": "me", "password": "word"})):
        for host in ("127.0.0.1", "localhost"):
            sock = pysocks.socksocket()
            sock.settimeout(10)
            sock.set_proxy(kind, *proxy.listeners()[listener], rdns=True, **options)
            sock.connect((host, echo_server.port))
            sock.sendall(b"ping")
            assert sock.recv(4) == b"ping"
            sock.close()
    sock = pysocks.socksocket()
    sock.set_proxy(pysocks.SOCKS5, *proxy.listeners()["users"], username="me", password="bad")
    with pytest.raises(pysocks.ProxyError):
        sock.connect(origin.address)


def test_urllib(sluice, origin):
    """P2: Python's urllib with a proxy that asks for a log-in."""
    proxy = sluice({"users": [{"name": "me", "password": "word"}]})
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy.url(user="me:word")}))
    with opener.open(origin.url("/bytes/1000"), timeout=10) as response:
        assert len(response.read()) == 1000


def test_curl_many(sluice, origin, folder):
    """P2: curl with many URLs at once, connections reused."""
    proxy = sluice()
    began = time.monotonic()
    done = subprocess.run(
        ["curl", "-q", "-sS", "--parallel", "--parallel-max", "20", "--noproxy", "", "-x", proxy.url(),
         "-o", f"{folder}/#1", origin.url("/bytes/[1-300]")], capture_output=True, text=True, timeout=40,
        check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 30
    sizes = sorted(f.stat().st_size for f in folder.iterdir() if re.fullmatch(r"\d+", f.name))
    assert sizes == list(range(1, 301))
    assert len(proxy.wait_access(count=300, status=200)) == 300
