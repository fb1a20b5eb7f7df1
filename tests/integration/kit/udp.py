# SPDX-License-Identifier: Apache-2.0
"""UDP servers, and SOCKS5 UDP associations byte by byte."""

import ipaddress
import socket
import struct
import threading

from kit.net import dial
from kit.socks import socks5_address, socks5_command, socks5_login
from kit.wait import PATIENCE

UDP_SEGMENT, UDP_GRO = 103, 104


def udp_socket(host="127.0.0.1", port=0, timeout=PATIENCE):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind((host, port))
    sock.settimeout(timeout)
    return sock


def send_segments(sock, data, segment, address=None):
    """One UDP_SEGMENT message: a burst of datagrams of `segment` bytes."""
    control = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", segment))]
    sent = sock.sendmsg([data], control, 0, *([address] if address else []))
    assert sent == len(data)


class UdpServer:
    """Answers each datagram by `answer(data, peer)`, a list of payloads; echoes by default."""

    def __init__(self, answer=lambda data, peer: [data], host="127.0.0.1"):
        self.received = []
        self.peers = []
        self.answer = answer
        self.socket = udp_socket(host, timeout=None)
        self.host, self.port = self.address = self.socket.getsockname()[:2]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(1 << 16)
            except OSError:
                return
            if data == b"\0stop":
                return
            self.received.append(data)
            self.peers.append(peer[:2])
            for payload in self.answer(data, peer):
                self.socket.sendto(payload, peer)

    def stop(self):
        with udp_socket(self.host) as sock:
            sock.sendto(b"\0stop", self.address)
        self.socket.close()


def parse_datagram(data):
    """(host, port, payload) of a datagram from the proxy."""
    assert data[:3] == b"\0\0\0", data[:22]
    size = {1: 4, 4: 16}[data[3]]
    host = str(ipaddress.ip_address(data[4:4 + size]))
    port, = struct.unpack("!H", data[4 + size:6 + size])
    return host, port, data[6 + size:]


class Association:
    """A SOCKS5 UDP association: its control connection and its client's socket."""

    def __init__(self, proxy, user=None, password=None, claim=("0.0.0.0", 0), client=None):
        self.control = dial(proxy)
        socks5_login(self.control, user, password)
        self.socket = client or udp_socket(proxy[0])
        if claim == "own":
            claim = self.socket.getsockname()[:2]
        self.relay = socks5_command(self.control, 3, *claim)

    def send(self, data, host, port, fragment=0, sock=None):
        packet = b"\0\0" + bytes([fragment]) + socks5_address(host, port) + data
        (sock or self.socket).sendto(packet, self.relay)

    def send_raw(self, data):
        self.socket.sendto(data, self.relay)

    def burst(self, pieces, host, port):
        """All pieces (of one length, the last may be shorter) in one UDP_SEGMENT message."""
        header = b"\0\0\0" + socks5_address(host, port)
        send_segments(self.socket, b"".join(header + p for p in pieces),
                      len(header) + len(pieces[0]), self.relay)

    def receive(self, timeout=PATIENCE):
        """(host, port, payload)"""
        self.socket.settimeout(timeout)
        data, peer = self.socket.recvfrom(1 << 16)
        assert peer[:2] == self.relay, (peer, self.relay)
        return parse_datagram(data)

    def is_silent(self, seconds=0.3):
        try:
            self.receive(seconds)
        except TimeoutError:
            return True
        return False

    def exchange(self, data, host, port):
        self.send(data, host, port)
        return self.receive()[2]

    def close(self):
        self.control.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
