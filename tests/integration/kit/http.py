# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 origin with all its moods, and a client that sees every byte."""

import json
import threading
import time
from dataclasses import dataclass, field

from kit.net import Server, dial, pattern, reset

CRLF = b"\r\n"


class Stream:
    """A socket read through a buffer, counting."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.taken = 0

    def _fill(self):
        piece = self.sock.recv(1 << 16)
        if not piece:
            raise EOFError(f"ended with {bytes(self.buffer[:200])!r} unread")
        self.buffer += piece

    def exactly(self, length):
        while len(self.buffer) < length:
            self._fill()
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        self.taken += length
        return data

    def until(self, end):
        start = 0
        while (at := self.buffer.find(end, start)) < 0:
            start = max(0, len(self.buffer) - len(end))
            self._fill()
        return self.exactly(at + len(end))

    def line(self):
        return self.until(CRLF)[:-2]

    def rest(self):
        try:
            while True:
                self._fill()
        except (EOFError, ConnectionResetError):
            return self.exactly(len(self.buffer))


def parse_fields(lines):
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        assert colon, line
        fields.append((name.decode("latin-1"), value.strip().decode("latin-1")))
    return fields


@dataclass
class Message:
    """A request or a response as it came."""

    start: str
    fields: list
    body: bytes = b""
    trailers: list = field(default_factory=list)
    head: bytes = b""
    interim: list = field(default_factory=list)  # 1xx responses that came before
    chunks: list = field(default_factory=list)  # sizes
    connection: int = 0  # of the origin: which one, and the how manieth request on it
    number: int = 0

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        return next(iter(self.all(name)), default)

    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    @property
    def version(self):
        return self.start.split(" ")[2 if not self.start.startswith("HTTP/") else 0]

    @property
    def json(self):
        return json.loads(self.body)


def read_head(stream):
    head = stream.until(CRLF + CRLF)
    lines = head[:-4].split(CRLF)
    return Message(lines[0].decode("latin-1"), parse_fields(lines[1:]), head=head)


def read_chunked(stream, message):
    body = bytearray()
    while True:
        size = int(stream.line().split(b";")[0], 16)
        message.chunks.append(size)
        if size == 0:
            break
        body += stream.exactly(size)
        assert stream.exactly(2) == CRLF
    lines = []
    while line := stream.line():
        lines.append(line)
    message.trailers = parse_fields(lines)
    message.body = bytes(body)


def read_body(stream, message):
    """By length or chunks; a message without either has none (requests)."""
    if "chunked" in (message.get("transfer-encoding") or "").lower():
        read_chunked(stream, message)
    else:
        message.body = stream.exactly(int(message.get("content-length", 0)))


def read_response(stream, method="GET"):
    """The final response, with the 1xx ones before it."""
    interim = []
    while True:
        message = read_head(stream)
        if message.status >= 200 or message.status == 101:
            break
        interim.append(message)
    message.interim = interim
    if method == "HEAD" or message.status in (101, 204, 304) or \
            (method == "CONNECT" and message.status < 300):
        return message
    if message.get("transfer-encoding") or message.get("content-length") is not None:
        read_body(stream, message)
    else:
        message.body = stream.rest()
    return message


class Client:
    """One connection; writes bytes as given and reads responses."""

    def __init__(self, address, **options):
        self.sock = dial(address, **options)
        self.stream = Stream(self.sock)

    def send(self, data):
        self.sock.sendall(data)
        return self

    def request(self, start, fields=(), body=b""):
        lines = [start, *fields]
        return self.send("\r\n".join(lines).encode("latin-1") + CRLF + CRLF + body)

    def response(self, method="GET"):
        return read_response(self.stream, method)

    def get(self, url, *fields, method="GET", body=b""):
        """An absolute-form request and its response."""
        host = url.split("/")[2]
        self.request(f"{method} {url} HTTP/1.1", [f"Host: {host}", *fields], body)
        return self.response(method)

    def connect(self, target, *fields):
        self.request(f"CONNECT {target} HTTP/1.1", [f"Host: {target}", *fields])
        return self.response("CONNECT")

    def is_closed(self, seconds=10.0):
        self.sock.settimeout(seconds)
        try:
            self.stream._fill()  # pylint: disable=protected-access
        except (EOFError, ConnectionResetError):
            return True
        except TimeoutError:
            pass
        return False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Origin(Server):
    """An HTTP server whose path says how it behaves; remembers every request.

    /json             the request as JSON                /bytes/N       N bytes, with a length
    /chunked/N        N bytes in chunks, with trailers   /until-close/N N bytes, ended by close
    /status/N         that status, no body               /early         answers before the body
    /hints            103, then 200                      /slow/MS       answers later
    /abort/N          N of 2N bytes, then FIN            /reset/N       N of 2N bytes, then RST
    /close-after      keep-alive said, closed all the same (a stale pooled connection)
    /no-answer        closes without a byte              /hang          never answers
    /upgrade          101 when asked, then echo          /echo          the body, as it came
    /garbage          no HTTP                            /switch-unasked 101 though nobody asked
    `routes[path]` may hold a function(stream, request) that answers instead.
    """

    def __init__(self, host="127.0.0.1", port=0, tls=None):
        self.requests = []
        self.raw = {}  # all bytes of each connection
        self.routes = {}
        self.lock = threading.Lock()
        self.released = threading.Event()
        super().__init__(self._handle, host, port, tls=tls)

    def url(self, path="/json"):
        return f"http://{self.name}{path}"

    def last(self):
        return self.requests[-1]

    def _handle(self, sock, connection):
        stream = Stream(sock)
        number = 0
        while True:
            try:
                request = read_head(stream)
            except (EOFError, ConnectionResetError):
                return
            number += 1
            request.connection, request.number = connection, number
            with self.lock:
                self.requests.append(request)
            if not self._answer(stream, request):
                return

    def _answer(self, stream, request):
        path = request.target
        if "://" in path:
            path = "/" + path.split("/", 3)[3]
        path = path.split("?")[0]
        if path in self.routes:
            return self.routes[path](stream, request)
        name, _, argument = path[1:].partition("/")
        method = getattr(self, "do_" + name.replace("-", "_"), self.do_json)
        if name != "early" and name != "upgrade":
            if request.get("expect", "").lower() == "100-continue":
                stream.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            read_body(stream, request)
        return method(stream, request, argument) is not False and \
            "close" not in (request.get("connection") or "").lower()

    @staticmethod
    def reply(stream, request, status="200 OK", body=b"", fields=(), length=None):
        length = len(body) if length is None else length
        head = [f"HTTP/1.1 {status}", f"Content-Length: {length}", *fields]
        data = "\r\n".join(head).encode("latin-1") + CRLF + CRLF
        stream.sock.sendall(data + (b"" if request.method == "HEAD" else body))

    def do_json(self, stream, request, _argument):
        said = {"method": request.method, "target": request.target, "version": request.version,
                "fields": request.fields, "trailers": request.trailers, "chunks": request.chunks,
                "length": len(request.body), "connection": request.connection,
                "number": request.number}
        self.reply(stream, request, body=json.dumps(said).encode(),
                   fields=["Content-Type: application/json"])

    def do_bytes(self, stream, request, argument):
        self.reply(stream, request, body=pattern(int(argument)))

    def do_echo(self, stream, request, _argument):
        self.reply(stream, request, body=request.body)

    def do_chunked(self, stream, request, argument):
        length, sent, size = int(argument), 0, 1
        stream.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                            b"Trailer: X-Sum, X-Sent\r\n\r\n")
        if request.method == "HEAD":
            return
        while sent < length:
            size = min(size * 3, 70000, length - sent)
            stream.sock.sendall(b"%x;name=\"va;lue\"\r\n" % size + pattern(size, sent) + CRLF)
            sent += size
        stream.sock.sendall(b"0\r\nX-Sum: abc\r\nX-Sent: %d\r\n\r\n" % sent)

    def do_until_close(self, stream, _request, argument):
        stream.sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + pattern(int(argument)))
        return False

    def do_status(self, stream, request, argument):
        if argument in ("204", "304"):
            stream.sock.sendall(f"HTTP/1.1 {argument} X\r\nETag: \"1\"\r\n\r\n".encode())
        else:
            self.reply(stream, request, status=f"{argument} X")

    def do_hints(self, stream, request, _argument):
        stream.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        self.reply(stream, request, body=b"hinted")

    def do_early(self, stream, request, _argument):
        self.reply(stream, request, status="413 Too Much", body=b"no", fields=["Connection: close"])
        stream.sock.shutdown(1)
        stream.rest()
        return False

    def do_slow(self, stream, request, argument):
        time.sleep(int(argument) / 1000)
        self.reply(stream, request, body=b"slow")

    def do_abort(self, stream, request, argument):
        body = pattern(int(argument))
        self.reply(stream, request, body=body, length=2 * len(body))
        return False

    def do_reset(self, stream, request, argument):
        self.do_abort(stream, request, argument)
        time.sleep(0.1)
        reset(stream.sock)
        return False

    def do_close_after(self, stream, request, _argument):
        self.reply(stream, request, body=b"bye")
        return False

    def do_no_answer(self, _stream, _request, _argument):
        return False

    def do_hang(self, _stream, _request, _argument):
        self.released.wait(20)
        return False

    def do_garbage(self, stream, _request, _argument):
        stream.sock.sendall(b"220 smtp.example ESMTP\r\n\r\n")
        return False

    def do_switch_unasked(self, stream, _request, _argument):
        stream.sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n"
                            b"Connection: Upgrade\r\n\r\n")
        return False

    def do_upgrade(self, stream, request, _argument):
        if request.get("upgrade") is None:
            read_body(stream, request)
            return self.reply(stream, request, body=b"not upgraded")
        stream.sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\n"
                            b"Connection: Upgrade\r\n\r\n" % request.get("upgrade").encode())
        if stream.buffer:
            stream.sock.sendall(stream.exactly(len(stream.buffer)))
        while piece := stream.sock.recv(1 << 16):
            stream.sock.sendall(piece)
        return False
