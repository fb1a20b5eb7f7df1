# SPDX-License-Identifier: Apache-2.0
"""Under pressure (D5, A6, Q2, Q4): descriptors run out, thousands of tunnels, slow and hostile clients."""

import resource
import socket
import subprocess
import threading
import time

import pytest

from kit.http import Client
from kit.net import Server, dial, echo, is_closed, pattern, random_bytes, read_all, read_exactly, reset
from kit.proxy import sanitized
from kit.socks import Refused, connect, socks5
from kit.wait import until


def limited(descriptors):
    """Runs the proxy with so many descriptors at most."""
    return {"prefix": ["prlimit", f"--nofile={descriptors}:{descriptors}"]}


@pytest.fixture(autouse=True)
def many_descriptors():
    """As many for this process as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Many(Server):
    """Accepts and holds connections without a thread for each; what comes is sent back on request."""

    def _accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(sock)


# Descriptors

def test_descriptors_run_out(sluice, servers):
    """Q4: new clients are refused or wait, with a reason; old tunnels live; nothing spins; then it
    recovers."""
    server = servers.add(Many(echo))
    proxy = sluice({"workers": 1}, **limited(100))
    held, refused = [], 0
    for _ in range(120):
        try:
            held.append(socks5(proxy.address, *server.address, timeout=0.5))
        except (Refused, OSError, EOFError):
            refused += 1
            if refused > 5:
                break
    assert len(held) > 25
    assert proxy.wait_access(reason="no_descriptors")
    # clients that cannot even be accepted wait in the kernel's queue
    waiting = [socket.create_connection(proxy.address, 5) for _ in range(30)]
    time.sleep(0.3)
    cpu = proxy.cpu_seconds()
    began = time.monotonic()
    time.sleep(1)
    assert (proxy.cpu_seconds() - cpu) / (time.monotonic() - began) < 0.2, "it spins"
    for number, sock in enumerate(held):
        sock.sendall(b"%06d" % number)
    for sock in server.connections[:len(held)]:
        sock.sendall(read_exactly(sock, 6))
    for number, sock in enumerate(held):
        assert read_exactly(sock, 6) == b"%06d" % number
    for sock in held + waiting:
        reset(sock)  # the server never ends by itself

    def works():
        try:
            socks5(proxy.address, *server.address, timeout=2).close()
            return True
        except (Refused, OSError, EOFError):
            return False
    until(works, 5, "new clients to be served again", every=0.1)


def test_descriptors_for_http(sluice, servers):
    """Q4 P2: the answer says that the proxy is at its limits."""
    server = servers.add(Many(echo))
    proxy = sluice({"workers": 1}, **limited(90))
    held = []
    status = None
    while len(held) < 200 and status is None:
        client = Client(proxy.address, timeout=1)
        held.append(client)
        client.request(f"CONNECT {server.name} HTTP/1.1", [f"Host: {server.name}"])
        try:
            response = client.response("CONNECT")
        except (OSError, EOFError):
            break
        if response.status != 200:
            status = response.status
    assert status == 503 or len(held) > 25
    for client in held:
        client.close()


def test_pooled_connections_make_room(sluice, origin):
    """Q4 D5: with few descriptors, many origins' idle connections do not keep others out."""
    proxy = sluice({"workers": 1}, **limited(80))
    for _ in range(3):
        clients = [Client(proxy.address, timeout=5) for _ in range(20)]
        for client in clients:
            assert client.get(origin.url("/bytes/3")).status in (200, 503)
        for client in clients:
            client.close()
    with Client(proxy.address) as client:
        assert client.get(origin.url("/bytes/3")).status == 200


# Many tunnels

def test_thousands_of_idle_tunnels(sluice, servers):
    """D5: idle tunnels cost little memory and no CPU, and all of them still work."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(3000, (soft - 200) // 3)
    server = servers.add(Many(echo, backlog=4096))
    proxy = sluice({"timeouts": {"idle": "1h"}})
    socks5(proxy.address, *server.address).close()
    before = proxy.memory_bytes()
    held = []
    for i in range(count):
        held.append(socks5(proxy.address, *server.address, source=f"127.0.1.{i % 200 + 1}"))
    each = (proxy.memory_bytes() - before) / count
    assert each < 3000 or sanitized(), f"{each:.0f} bytes a tunnel"
    cpu = proxy.cpu_seconds()
    time.sleep(1)
    assert proxy.cpu_seconds() - cpu < 0.1
    for sock in held[::50]:
        sock.sendall(b"ping")
    got = []

    def arrived():
        got.extend(filter(None, (sock.recv(10) for sock in server.connections if _readable(sock))))
        return len(got) >= len(held[::50])
    until(arrived, what="the bytes")
    assert got == [b"ping"] * len(held[::50])
    for sock in held:
        reset(sock)
    until(lambda: proxy.descriptors() < 100, 20, "everything to be closed")
    assert proxy.memory_bytes() - before < count * 3000 or sanitized()


def _readable(sock):
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return True
    except BlockingIOError:
        return False


def test_churn_leaks_nothing(sluice, origin, echo_server):
    """Q4: thousands of short connections of all kinds leave no descriptor and no memory behind."""
    proxy = sluice({"workers": 1, "timeouts": {"http_keepalive": "1s"}})

    def round_of(number):
        for i in range(number):
            kind = i % 6
            if kind == 0:
                socks5(proxy.address, *echo_server.address).close()
            elif kind == 1:
                reset(connect(proxy.address, *echo_server.address))
            elif kind == 2:
                with Client(proxy.address) as client:
                    client.get(origin.url("/bytes/2000"))
            elif kind == 3:
                sock = dial(proxy.address)
                sock.sendall(b"\x05\x01")
                sock.close()
            elif kind == 4:
                with Client(proxy.address) as client:
                    client.get("http://127.0.0.1:1/")
            else:
                dial(proxy.address).close()
    round_of(300)
    time.sleep(1.3)
    descriptors, memory = proxy.descriptors(), proxy.memory_bytes()
    round_of(2400)
    time.sleep(1.3)
    until(lambda: proxy.descriptors() <= descriptors + 2, 5, "the descriptors to be closed")
    assert proxy.memory_bytes() - memory < 4 << 20 or sanitized()


# Slow and hostile clients

@pytest.mark.parametrize("first", [b"", b"GET ", b"GET http://a.test/ HTTP/1.1\r\nX: ", b"\x05\xff",
                                   b"\x04\x01\x00", b"\x05\x01\x00\x05\x01\x00\x03\xff"])
def test_slowloris(sluice, first):
    """A6 Q2: who sends a byte now and then is closed at one absolute deadline."""
    proxy = sluice({"timeouts": {"admission": "800ms"}})
    began = time.monotonic()
    sock = dial(proxy.address)
    sock.sendall(first)
    stop = threading.Event()

    def drip():
        try:
            while first and not stop.wait(0.1):
                sock.send(b"a")
        except OSError:
            pass
    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    read_all(sock)
    took = time.monotonic() - began
    stop.set()
    thread.join()
    sock.close()
    assert 0.6 < took < 2.5
    assert proxy.access()["reason"] == "admission_timeout"


def test_many_silent_clients(sluice, origin):
    """A6 D5: a thousand silent clients cost little, do not stop others, and go at the deadline."""
    proxy = sluice({"timeouts": {"admission": "2s"}, "workers": 1})
    before = proxy.memory_bytes()
    began = time.monotonic()
    silent = [dial(proxy.address) for _ in range(1000)]
    with Client(proxy.address) as client:
        assert client.get(origin.url()).status == 200
    if time.monotonic() - began < 1.8:
        assert (proxy.memory_bytes() - before) / 1000 < 2500 or sanitized()
    assert len(proxy.wait_access(count=1000, reason="admission_timeout")) == 1000
    for sock in silent:
        sock.close()


def test_slow_keep_alive(sluice, origin):
    """A6 P2: an idle kept connection ends after the keep-alive time, without an answer."""
    proxy = sluice({"timeouts": {"http_keepalive": "400ms"}})
    with Client(proxy.address) as client:
        client.get(origin.url())
        began = time.monotonic()
        assert client.is_closed()
        assert not client.stream.buffer
        assert 0.2 < time.monotonic() - began < 2


def test_next_request_too_slow(sluice, origin):
    """A6 P2: a second request that does not come to its end: 408 and close."""
    proxy = sluice({"timeouts": {"http_keepalive": "5s", "admission": "500ms"}})
    with Client(proxy.address) as client:
        client.get(origin.url())
        client.send(b"GET http://a.test/ HTT")
        assert client.response().status == 408
        assert client.is_closed()


def test_garbage(sluice, origin):
    """Q2: random bytes of all sizes, in pieces, with resets: it lives and serves."""
    proxy = sluice({"listeners": [{"name": "main", "address": "127.0.0.1:0",
                                   "protocols": ["http", "socks4", "socks5", "tls"]}],
                    "timeouts": {"admission": "1s"}, "routes": [{"sni": ["a.test"],
                                                                 "to": [origin.name]}]})
    import random  # pylint: disable=import-outside-toplevel
    chosen = random.Random(11)
    starts = [b"", b"\x05", b"\x04\x01", b"GET ", b"\x16\x03\x01", b"CONNECT ", b"PRI * HTTP/2.0\r\n",
              b"\x05\x01\x00\x05", b"POST http://" + origin.name.encode() + b"/ HTTP/1.1\r\n"]
    for i in range(400):
        sock = dial(proxy.address)
        data = chosen.choice(starts) + random_bytes(chosen.randrange(1, 3000))
        try:
            for at in range(0, len(data), 700):
                sock.sendall(data[at:at + 700])
        except OSError:
            pass
        if i % 3 == 0:
            reset(sock)
        else:
            sock.close()
    with Client(proxy.address) as client:
        assert client.get(origin.url("/bytes/100")).body == pattern(100)


def test_upstream_floods(sluice, servers):
    """Q2: an upstream that sends before and after it should is no trouble."""
    server = servers.serve(lambda sock, _n: (sock.sendall(b"x" * 2000000), read_all(sock)))
    proxy = sluice()
    with Client(proxy.address) as client:
        assert client.get(f"http://{server.name}/").status == 502
    sock = socks5(proxy.address, *server.address)
    assert len(read_exactly(sock, 2000000)) == 2000000
    sock.close()


def test_many_clients_at_once(sluice, origin):
    """D5: hundreds of clients at the same time, each with some requests."""
    proxy = sluice()
    failures = []

    def run(number):
        try:
            with Client(proxy.address, timeout=30) as client:
                for i in range(5):
                    size = (number * 7 + i) % 5000
                    if client.get(origin.url(f"/bytes/{size}")).body != pattern(size):
                        failures.append("body")
        except (OSError, EOFError) as error:
            failures.append(repr(error))
    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert not failures, failures[:5]
    assert len(proxy.wait_access(count=1000, status=200)) == 1000


def test_log_on_a_full_disk(sluice, origin):
    """Q4: a log that cannot be written stops nothing."""
    proxy = sluice({"access_log": {"output": "/dev/full", "format": "json"}})
    with Client(proxy.address) as client:
        for _ in range(50):
            assert client.get(origin.url()).status == 200


def test_log_reader_that_stalls(sluice, origin, folder):
    """Q4: nor does a reader of the log that stops reading."""
    import os  # pylint: disable=import-outside-toplevel
    pipe = folder / "pipe"
    os.mkfifo(pipe, 0o666)
    pipe.chmod(0o666)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        proxy = sluice({"access_log": {"output": str(pipe), "format": "json"}})
        with Client(proxy.address) as client:
            for _ in range(1500):
                assert client.get(origin.url()).status == 200
        # it is read again at the end, so that the proxy can say its last words
        os.set_blocking(reader, True)
        threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reader, 65536), b"")],
                         daemon=True).start()
        proxy.stop()
    finally:
        os.close(reader)


def test_stopped_and_continued(sluice, echo_server):
    """Q4: a process that was stopped for a while goes on where it was."""
    proxy = sluice()
    sock = socks5(proxy.address, *echo_server.address)
    subprocess.run(["kill", "-STOP", str(proxy.pid)], check=True)
    sock.sendall(b"while stopped")
    time.sleep(0.5)
    subprocess.run(["kill", "-CONT", str(proxy.pid)], check=True)
    assert read_exactly(sock, 13) == b"while stopped"
    assert not is_closed(sock, 0.1)
