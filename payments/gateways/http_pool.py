"""HTTP calls to one server, on connections that are kept, by many threads at a time.

# Note [A call that is repeated]
urllib3 repeats nothing here and follows nothing. There is one case in which this module makes a call a second time: it
went out on a connection that was kept from before, and that connection turned out to be closed. A server that was
started again closes those of its former life, and nobody can tell whether it had read the request. So callers may only
make calls that can be made twice: each has a key, and the same key means the same call.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import urllib3
from urllib3 import connection as urllib3_connections
from urllib3.exceptions import HTTPError

# Of the time that a whole call may take: for the connection, and for the request and its answer.
CONNECT_SHARE, ANSWER_SHARE = 0.1, 0.85
LARGEST_ANSWER = 4 * 1024 * 1024
_PIECE = 64 * 1024


@dataclass(frozen=True)
class HttpReply:
    """What came back."""

    status: int
    body: bytes


class Transport(Protocol):
    """Carries one call to a server and brings its reply back."""

    def call(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str]) -> HttpReply:
        """One call; it blocks.

        Raises:
            OSError, ValueError: nobody knows whether the server has received it.
        """
        ...


class HttpPool:
    """A transport to the server at `url`, such as `http://127.0.0.1:8002` or `https://shop.example.com/hook`."""

    def __init__(self, url: str, *, timeout_seconds: float, keep: int) -> None:
        """A call takes no longer than `timeout_seconds`, and so many connections are kept for later ones."""
        there = urlsplit(url)
        if there.scheme not in ("http", "https") or not there.hostname:
            raise ValueError(f"{url!r} is no http(s) address")
        kind = _HttpsConnections if there.scheme == "https" else _HttpConnections
        self._pool = kind(there.hostname, there.port, maxsize=keep, block=False)
        self._prefix = there.path
        self._timeout_seconds = timeout_seconds

    def call(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str]) -> HttpReply:
        """One call; see `Transport.call` and Note [A call that is repeated]."""
        while True:
            _connected.in_this_call = False
            try:
                return self._call(method, f"{self._prefix}{path}" or "/", body, headers)
            except HTTPError as error:
                cause = error.__cause__ or error.args[-1]
                if not isinstance(cause, OSError):
                    raise ConnectionError(f"{type(error).__name__}: {error}") from error
                if _connected.in_this_call or not isinstance(cause, ConnectionError):
                    raise cause from error

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()

    def _call(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> HttpReply:
        connect_seconds, answer_seconds = self._timeout_seconds * CONNECT_SHARE, self._timeout_seconds * ANSWER_SHARE
        deadline = time.monotonic() + connect_seconds + answer_seconds
        response = self._pool.urlopen(
            method,
            target,
            body=body or None,
            headers=headers,
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=connect_seconds, read=answer_seconds),
            preload_content=False,
            decode_content=False,
        )
        try:
            content = _read(response, deadline=deadline)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return HttpReply(response.status, content)


def _read(response: urllib3.BaseHTTPResponse, *, deadline: float) -> bytes:
    """All of the body, unless it is too long, or too slow: a server may send a byte now and then for ever."""
    pieces: list[bytes] = []
    size = 0
    while True:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError("the answer takes too long")
        if (socket := getattr(response.connection, "sock", None)) is not None:
            socket.settimeout(left)
        if not (piece := response.read1(_PIECE)):
            return b"".join(pieces)
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise ValueError("the answer is too long")
        pieces.append(piece)


class _Connected(threading.local):
    """Whether this thread's call had to connect, or went out on a connection that was kept."""

    in_this_call = False


_connected = _Connected()


class _HttpConnection(urllib3_connections.HTTPConnection):
    def connect(self) -> None:
        _connected.in_this_call = True
        super().connect()


class _HttpsConnection(urllib3_connections.HTTPSConnection):
    def connect(self) -> None:
        _connected.in_this_call = True
        super().connect()


class _HttpConnections(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsConnections(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
