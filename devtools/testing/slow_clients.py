"""Clients that take their time, many at once: what an attacker needs no more than one machine for."""

import contextlib
import http.client
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
_BODY = b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
_CHUNKS = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"


@dataclass(frozen=True)
class Kind:
    """What such a client sends first, and then again and again, a little at a time."""

    first: bytes
    then: bytes
    receives_bytes: int | None = None
    """The size of its receive buffer; a small one for those that never read."""


SLOW_HEADERS = Kind(b"GET / HTTP/1.1\r\nHost: shop.exam", b"p")
SLOW_BODY = Kind(b"POST /api/orders/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + _BODY, b" ")
SLOW_CHUNKS = Kind(b"POST /api/orders/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + _CHUNKS, b"1\r\n \r\n")
SLOW_WEBHOOK = Kind(b"POST /webhooks/payments/ HTTP/1.1\r\nHost: 127.0.0.1\r\n" + _BODY, b" ")
SLOW_SOCKET = Kind(b"GET /live/stock/?sku=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nX-Slow: ", b"x")
SILENT = Kind(b"", b"")
# More than the buffers of the system hold, of a file that costs the server little.
UNREAD = Kind(
    b"GET /static/unfold/js/chart/chart.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 30, b"G", receives_bytes=4096
)


class Crowd:
    """Connections of slow clients to one port."""

    def __init__(self, port: int, kinds: Sequence[Kind], *, clients: int) -> None:
        """So many connections; the kinds take turns."""
        self._sockets: list[tuple[socket.socket, Kind]] = []
        for number in range(clients):
            kind = kinds[number % len(kinds)]
            client = socket.socket()
            if kind.receives_bytes:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kind.receives_bytes)
            client.connect((HOST, port))
            if kind.first:
                client.sendall(kind.first)
            client.setblocking(False)
            self._sockets.append((client, kind))

    def drip(self) -> None:
        """Each sends a little more."""
        for client, kind in self._sockets:
            with contextlib.suppress(OSError):
                client.send(kind.then)

    def still_open(self) -> int:
        """How many the server has not ended (nor answered)."""
        return sum((_takes if kind.receives_bytes else _is_open)(client) for client, kind in self._sockets)

    def leave(self) -> None:
        """Close all."""
        for client, _ in self._sockets:
            client.close()


@contextlib.contextmanager
def crowd(port: int, kinds: Sequence[Kind], *, clients: int) -> Iterator[Crowd]:
    """Slow clients while the block runs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    those = Crowd(port, kinds, clients=clients)
    try:
        yield those
    finally:
        those.leave()


def click(port: int, path: str, *, timeout_seconds: float = 20) -> tuple[int, float]:
    """Status and seconds of one request on a connection of its own."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.monotonic() - started
    finally:
        connection.close()


def memory_mib(pid: int) -> float:
    """What a process and its children have in memory."""
    own = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(own.split()[1]) / 1024 + sum(memory_mib(int(child)) for child in children)


def _is_open(client: socket.socket) -> bool:
    try:
        client.recv(65536)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _takes(client: socket.socket) -> bool:
    """Whether the server takes a byte; a client that shall not read cannot see its end in another way."""
    try:
        client.send(b"G")
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
