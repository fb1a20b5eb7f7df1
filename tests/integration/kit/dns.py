# SPDX-License-Identifier: Apache-2.0
"""A DNS server, UDP and TCP, with answers from a table."""

import ipaddress
import socket
import struct
import threading
import time

A, CNAME, SOA, AAAA = 1, 5, 6, 28
NAMES = {A: "A", CNAME: "CNAME", SOA: "SOA", AAAA: "AAAA"}
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5


def encode_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def parse_question(data):
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += data[at] + 1
    kind = struct.unpack("!H", data[at + 1:at + 3])[0]
    return ".".join(labels).lower(), kind, data[12:at + 5]


class Dns:
    """`zone[name]` is a list of addresses, a "CNAME target", or a response code (int).

    `ttl`, `negative_ttl` and `delays[(name, "AAAA")]` (seconds; None never answers) shape answers;
    `queries` remembers (name, type, transport). A name that is not in the zone does not exist.
    """

    def __init__(self, host="127.0.0.1"):
        self.zone, self.delays, self.queries = {}, {}, []
        self.ttl, self.negative_ttl = 60, 60
        self.truncate = False  # UDP answers say: ask by TCP
        for _ in range(50):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind((host, 0))
            self.address = self.udp.getsockname()
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind(self.address)
                break
            except OSError:
                self.udp.close()
                self.tcp.close()
        self.tcp.listen(16)
        self.name = f"{host}:{self.address[1]}"
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def count(self, name, kind=None):
        return sum(q[0] == name and kind in (None, q[1]) for q in self.queries)

    def _record(self, name, kind, ttl, data):
        return encode_name(name) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data

    def _answers(self, name, kind):
        """(response code, answer records)"""
        records = []
        entry = self.zone.get(name)
        while isinstance(entry, str):
            target = entry.split()[1]
            records.append(self._record(name, CNAME, self.ttl, encode_name(target)))
            name, entry = target, self.zone.get(target)
        if entry is None:
            return NXDOMAIN, records
        if isinstance(entry, int):
            return entry, records
        for text in entry:
            address = ipaddress.ip_address(text)
            if kind == (A if address.version == 4 else AAAA):
                records.append(self._record(name, kind, self.ttl, address.packed))
        return 0, records

    def _respond(self, query, transport):
        name, kind, question = parse_question(query)
        self.queries.append((name, NAMES.get(kind, kind), transport))
        delay = self.delays.get((name, NAMES.get(kind)), 0)
        if delay is None:
            return None
        time.sleep(delay)
        code, records = self._answers(name, kind)
        authority = []
        if not records and code in (0, NXDOMAIN):
            data = encode_name("ns.test") + encode_name("root.test") + \
                struct.pack("!IIIII", 1, 60, 60, 60, self.negative_ttl)
            authority = [self._record("test", SOA, self.negative_ttl, data)]
        flags = 0x8580 | code
        if self.truncate and transport == "udp":
            flags, records, authority = flags | 0x0200, [], []
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), len(authority), 0) + \
            question + b"".join(records + authority)

    def _serve_udp(self):
        def answer(query, peer):
            response = self._respond(query, "udp")
            if response:
                try:
                    self.udp.sendto(response, peer)
                except OSError:
                    pass
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if len(query) > 12:
                threading.Thread(target=answer, args=(query, peer), daemon=True).start()

    def _serve_tcp(self):
        def answer(sock):
            sock.settimeout(10)
            try:
                while len(size := sock.recv(2, socket.MSG_WAITALL)) == 2:
                    query = sock.recv(struct.unpack("!H", size)[0], socket.MSG_WAITALL)
                    response = self._respond(query, "tcp")
                    if response:
                        sock.sendall(struct.pack("!H", len(response)) + response)
            except OSError:
                pass
            finally:
                sock.close()
        while True:
            try:
                sock, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    def stop(self):
        for sock in (self.udp, self.tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
