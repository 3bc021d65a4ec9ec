"""HTTP calls to one server, on connections that are kept, by many threads at a time.

It is the standard library's client with a pool in front: a call costs a fifth of what one costs with httpx, and each
order makes two of them.
"""

import http.client
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

# Of the time that a whole call may take: for the connection, and for the request and its answer.
CONNECT_SHARE, ANSWER_SHARE = 0.1, 0.85
LARGEST_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes


class Wire(Protocol):
    """Carries one call to a server and brings its reply back."""

    def call(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str]) -> Reply:
        """One call; it blocks.

        Raises:
            OSError, http.client.HTTPException, ValueError: whether the server has heard it, nobody knows.
        """
        ...


class KeptConnections:
    """A wire to the server at `url`, such as `http://127.0.0.1:8002` or `https://shop.example.com/hook`."""

    def __init__(self, url: str, *, timeout_seconds: float, keep: int) -> None:
        """A call takes no longer than `timeout_seconds`, and so many connections are kept for later ones."""
        there = urlsplit(url)
        if there.scheme not in ("http", "https") or not there.hostname:
            raise ValueError(f"{url!r} is no http(s) address")
        self._kind = http.client.HTTPSConnection if there.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._prefix = there.hostname, there.port, there.path
        self._timeout_seconds = timeout_seconds
        self._keep = keep
        self._idle: deque[http.client.HTTPConnection] = deque()

    def call(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str]) -> Reply:
        """One call; see `Wire.call`.

        A server that was started again has closed the connections of its former life. That shows at the first use,
        and at once, so such a call is made again on a fresh connection: it must be one that may be made twice.
        """
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._call(self._connect(), method, path, body, headers)
            try:
                return self._call(connection, method, path, body, headers)
            except ConnectionError:
                continue

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = self._kind(self._host, self._port, timeout=self._timeout_seconds * CONNECT_SHARE)
        connection.connect()
        return connection

    def _call(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        try:
            deadline = time.monotonic() + self._timeout_seconds * ANSWER_SHARE
            _give(connection, deadline)
            connection.request(method, f"{self._prefix}{path}" or "/", body=body or None, headers=dict(headers))
            response = connection.getresponse()
            _give(connection, deadline)
            content = response.read(LARGEST_ANSWER + 1)
            if len(content) > LARGEST_ANSWER:
                raise ValueError("the answer is too long")
        except BaseException:
            connection.close()
            raise
        if not response.will_close and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.close()
        return Reply(response.status, content)


def _give(connection: http.client.HTTPConnection, deadline: float) -> None:
    """From now on, wait no longer than until then for anything (nothing is sent or read in more than one go)."""
    if connection.sock is not None:
        connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
