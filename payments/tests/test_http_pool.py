"""The pool of HTTP connections: they are kept and replaced, and whatever a server does, a call is over in time."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from devtools.testing.payments.sandbox_bank import authorize
from payments.gateways import Unknown, http_pool
from payments.gateways.sandbox import SandboxGateway

pytestmark = pytest.mark.money


class RawServer:
    """Takes connections, and does with each what the test says."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self.connections = 0
        self._behave = behave
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._behave, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._server.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def answer_once(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(OK)
    connection.close()


def answer_always(connection: socket.socket) -> None:
    while connection.recv(65536):
        connection.sendall(OK)


def say_nothing(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(30)


def stop_in_the_middle(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    time.sleep(30)


def say_something_else(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    connection.close()


def hang_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.close()


def test_a_connection_is_kept() -> None:
    server = RawServer(answer_always)
    pool = http_pool.HttpPool(server.url, timeout_seconds=5, keep=4)
    assert {pool.call("GET", "/", headers={}) for _ in range(5)} == {http_pool.HttpReply(200, b"{}")}
    assert server.connections == 1
    pool.close()
    server.close()


def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    server = RawServer(answer_once)
    pool = http_pool.HttpPool(server.url, timeout_seconds=5, keep=4)
    assert {pool.call("POST", "/", body=b"{}", headers={}) for _ in range(3)} == {http_pool.HttpReply(200, b"{}")}
    assert server.connections == 3
    server.close()


@pytest.mark.parametrize("behave", [say_nothing, stop_in_the_middle, say_something_else, hang_up])
def test_whatever_the_server_does_it_is_over_in_time_and_unknown(
    settings: Any, behave: Callable[[socket.socket], None]
) -> None:
    server = RawServer(behave)
    settings.SANDBOX_URL, settings.PAYMENT_TIMEOUT_SECONDS = server.url, 0.5
    started = time.monotonic()
    assert isinstance(authorize(SandboxGateway()), Unknown)
    assert time.monotonic() - started < 2
    assert server.connections == 1, "a fresh connection that fails is not tried again"
    server.close()


def test_what_went_wrong_is_told_in_the_words_of_the_system() -> None:
    """Staff read them beside the charge: without the names of a library, and without a port that changes."""
    silent = RawServer(say_nothing)
    for url, error, words in (
        ("http://127.0.0.1:1", ConnectionRefusedError, r"^\[Errno 111\] Connection refused$"),
        (silent.url, TimeoutError, "^timed out$"),
    ):
        with pytest.raises(error, match=words):
            http_pool.HttpPool(url, timeout_seconds=0.3, keep=1).call("GET", "/", headers={})
    silent.close()


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1", "http://", "127.0.0.1:8002"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=r"http\(s\)"):
        http_pool.HttpPool(url, timeout_seconds=1, keep=1)


def test_an_endless_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)

    monkeypatch.setattr(http_pool, "LARGEST_ANSWER", 1000)
    server = RawServer(endless)
    with pytest.raises(ValueError, match="too long"):
        http_pool.HttpPool(server.url, timeout_seconds=5, keep=1).call("GET", "/", headers={})
    server.close()


def test_an_answer_that_trickles_is_over_in_time() -> None:
    def trickle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(1000):
                connection.sendall(b"x")
                time.sleep(0.05)

    server = RawServer(trickle)
    started = time.monotonic()
    with pytest.raises(OSError):
        http_pool.HttpPool(server.url, timeout_seconds=0.5, keep=1).call("GET", "/", headers={})
    assert time.monotonic() - started < 2
    server.close()


def test_nothing_is_followed_and_nothing_is_repeated_on_a_fresh_connection() -> None:
    def send_elsewhere(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 307 Elsewhere\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
        connection.close()

    server = RawServer(send_elsewhere)
    reply = http_pool.HttpPool(server.url, timeout_seconds=5, keep=1).call("POST", "/", body=b"{}", headers={})
    assert (reply.status, server.connections) == (307, 1)
    server.close()


def test_a_call_on_a_kept_connection_that_breaks_off_is_made_again_once() -> None:
    """The server reads the second request, and is gone: nobody knows, and the same key makes it harmless."""
    answered: list[bytes] = []

    def answer_and_break_off(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            answered.append(request)
            if len(answered) == 2:
                connection.close()
                return
            connection.sendall(OK)

    server = RawServer(answer_and_break_off)
    pool = http_pool.HttpPool(server.url, timeout_seconds=5, keep=1)
    # Without a body, so that a request is one packet.
    assert [pool.call("POST", "/", headers={}).status for _ in range(2)] == [200, 200]
    assert (len(answered), server.connections) == (3, 2)
    pool.close()
    server.close()
