# SPDX-License-Identifier: Apache-2.0
"""SOCKS clients byte by byte."""

import base64
import ipaddress
import socket
import struct

from kit.net import dial, read_exactly, read_until


class Refused(Exception):
    """The proxy said no; `code` is its reply."""

    def __init__(self, what, code):
        super().__init__(f"{what}: {code}")
        self.code = code


def socks5_address(host, port):
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        return b"\x03" + bytes([len(name)]) + name + struct.pack("!H", port)
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed + struct.pack("!H", port)


def read_socks5_address(sock):
    kind = read_exactly(sock, 1)[0]
    if kind == 3:
        host = read_exactly(sock, read_exactly(sock, 1)[0]).decode()
    else:
        host = str(ipaddress.ip_address(read_exactly(sock, 4 if kind == 1 else 16)))
    return host, struct.unpack("!H", read_exactly(sock, 2))[0]


def socks5_login(sock, user=None, password=None):
    """Method choice and RFC 1929; the method that was chosen."""
    sock.sendall(b"\x05\x01\x00" if user is None else b"\x05\x02\x00\x02")
    version, method = read_exactly(sock, 2)
    assert version == 5
    if method == 0xff:
        raise Refused("method", method)
    if method == 2:
        sock.sendall(b"\x01" + bytes([len(user)]) + user.encode() +
                     bytes([len(password)]) + password.encode())
        version, status = read_exactly(sock, 2)
        assert version == 1
        if status:
            raise Refused("login", status)
    return method


def socks5_command(sock, command, host, port):
    """Sends the request and reads one reply: the bound address."""
    sock.sendall(b"\x05" + bytes([command]) + b"\x00" + socks5_address(host, port))
    return socks5_reply(sock)


def socks5_reply(sock):
    version, code, _ = read_exactly(sock, 3)
    assert version == 5
    address = read_socks5_address(sock)
    if code:
        raise Refused("reply", code)
    return address


def socks5(proxy, host, port, user=None, password=None, **options):
    """A tunnel."""
    sock = dial(proxy, **options)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        socks5_login(sock, user, password)
        socks5_command(sock, 1, host, port)
    except BaseException:
        sock.close()
        raise
    return sock


def socks4(proxy, host, port, user="", command=1, **options):
    """A tunnel by SOCKS4, or 4a when `host` is a name."""
    try:
        address, name = ipaddress.IPv4Address(host).packed, b""
    except ValueError:
        address, name = b"\0\0\0\1", host.encode() + b"\0"
    sock = dial(proxy, **options)
    sock.sendall(b"\x04" + bytes([command]) + struct.pack("!H", port) + address +
                 user.encode() + b"\0" + name)
    version, code = read_exactly(sock, 8)[:2]
    assert version == 0
    if code != 90:
        sock.close()
        raise Refused("socks4", code)
    return sock


def connect(proxy, host, port, user=None, password=None, **options):
    """A tunnel by HTTP CONNECT."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if user is not None:
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        head += f"Proxy-Authorization: Basic {credentials}\r\n"
    sock = dial(proxy, **options)
    try:
        sock.sendall(head.encode() + b"\r\n")
        status = int(read_until(sock, b"\r\n\r\n").split(b" ")[1])
        if status != 200:
            raise Refused("connect", status)
    except BaseException:
        sock.close()
        raise
    return sock


TUNNELS = {"connect": connect, "socks4": socks4, "socks5": socks5}
