# SPDX-License-Identifier: Apache-2.0
"""TCP servers with a thread for each connection, and small socket helpers."""

import hashlib
import os
import socket
import struct
import threading
import time

from kit.wait import PATIENCE, until

BLOCK = hashlib.shake_256(b"sluice").digest(65521)  # a prime length: shifted bytes show


def pattern(length, offset=0):
    """`length` bytes of an endless pattern from `offset` on."""
    start = offset % len(BLOCK)
    copies = (start + length) // len(BLOCK) + 1
    return (BLOCK * copies)[start:start + length]


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def dial(address, timeout=PATIENCE, source=None, receive_buffer=None):
    """A connected socket with a time limit."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        sock.bind((source, 0))
    sock.connect(address[:2])
    return sock


def read_exactly(sock, length):
    data = bytearray()
    while len(data) < length:
        piece = sock.recv(min(length - len(data), 1 << 20))
        if not piece:
            raise EOFError(f"ended after {len(data)} of {length} bytes: {bytes(data[:200])!r}")
        data += piece
    return bytes(data)


def read_until(sock, end, limit=1 << 20):
    """Bytes up to and with `end`, one at a time so that nothing behind it is taken."""
    data = bytearray()
    while not data.endswith(end):
        piece = sock.recv(1)
        if not piece:
            raise EOFError(f"ended after {bytes(data[:200])!r}")
        data += piece
        assert len(data) < limit
    return bytes(data)


def read_all(sock):
    """Everything up to the end; a reset counts as the end."""
    data = bytearray()
    try:
        while piece := sock.recv(1 << 18):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


def is_closed(sock, seconds=PATIENCE):
    """Whether the peer ends the connection within `seconds` without a further byte."""
    sock.settimeout(seconds)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def free_port(family=socket.AF_INET):
    """A port that was free a moment ago."""
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """Calls `handle(sock, number)` in a thread for each connection, numbered from 1."""

    def __init__(self, handle, host="127.0.0.1", port=0, backlog=1024, tls=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.handle = handle
        self.tls = tls
        self.connections = []
        self.peers = []
        self.errors = []
        self._stopped = False
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(backlog)
        self.address = self.socket.getsockname()[:2]
        self.host, self.port = self.address
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def name(self):
        """host:port, for URLs and configurations."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _accept(self):
        while True:
            try:
                sock, peer = self.socket.accept()
            except OSError:
                return
            sock.settimeout(30)
            self.connections.append(sock)
            self.peers.append(peer[:2])
            threading.Thread(target=self._serve, args=(sock, len(self.connections)),
                             daemon=True).start()

    def _serve(self, sock, number):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.handle(sock, number)
        except (OSError, EOFError, ValueError) as error:
            if not self._stopped:
                self.errors.append(error)
        finally:
            sock.close()

    def wait_connections(self, count, seconds=PATIENCE):
        until(lambda: len(self.connections) >= count, seconds, f"{count} connections")

    def stop(self):
        self._stopped = True
        # close() alone would not wake accept().
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        for sock in self.connections:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def echo(sock, _number=0):
    """Sends back what comes; ends when the peer does."""
    while piece := sock.recv(1 << 16):
        sock.sendall(piece)


class Sink:
    """A handler that reads everything and remembers how much, with its hash."""

    def __init__(self, rate=None):
        self.received = {}
        self.hashes = {}
        self.ended = {}
        self.rate = rate  # bytes a second, to be slower than the proxy

    def __call__(self, sock, number):
        digest = hashlib.sha256()
        self.received[number] = 0
        began = time.monotonic()
        while piece := sock.recv(1 << 18):
            digest.update(piece)
            self.received[number] += len(piece)
            if self.rate:
                ahead = self.received[number] / self.rate - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
        self.hashes[number] = digest.hexdigest()
        self.ended[number] = True


class Source:
    """A handler that sends `length` pattern bytes, paced to `rate` bytes a second when given."""

    def __init__(self, length, rate=None, piece=1 << 18):
        self.length = length
        self.rate = rate
        self.piece = piece
        self.sent = {}

    def __call__(self, sock, number):
        self.sent[number] = 0
        began = time.monotonic()
        while self.sent[number] < self.length:
            want = min(self.piece, self.length - self.sent[number])
            # send, not sendall: the count stays right when the connection dies in the middle
            self.sent[number] += sock.send(pattern(want, self.sent[number]))
            if self.rate:
                ahead = self.sent[number] / self.rate - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass


class Blackhole:
    """An address where connections are neither accepted nor refused: a full listen queue."""

    def __init__(self, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.bind((host, 0))
        self.socket.listen(0)
        self.address = self.socket.getsockname()[:2]
        self.name = f"{host}:{self.address[1]}"
        self.fillers = []
        for _ in range(2):
            filler = socket.socket(self.socket.family)
            filler.setblocking(False)
            filler.connect_ex(self.address)
            self.fillers.append(filler)
        time.sleep(0.05)

    def stop(self):
        for sock in [*self.fillers, self.socket]:
            sock.close()


def random_bytes(length):
    return os.urandom(length)
