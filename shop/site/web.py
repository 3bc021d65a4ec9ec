"""Requests on their way from granian to Django, and what a slow client can hold: nothing that others need."""

# Note [A thread only for a whole request]
# Over WSGI a thread is taken first, and the body is read by it, without a deadline: sixteen clients that send half a
# body stop every page. So granian hands over requests as coroutines (RSGI), in which reading costs no thread, and has
# an end: of bytes and of time. Django runs in a thread once the request is there, and its answer is given to granian
# whole, so that a client that does not read holds memory (its answer) but no thread. The kernel ends those: it is told
# how long what was sent may stay unacknowledged. Slow headers are granian's own business (http1-header-read-timeout,
# and HTTP/1 only: while it guesses the version there is no timeout).

import asyncio
import io
import logging
import os
import queue
import resource
import socket
import stat
import sys
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol
from wsgiref.types import WSGIApplication

from kafka_bridge.monitoring.heartbeats import reporting
from kafka_bridge.telemetry import activity
from shop.activity import sending
from shop.operations.processes import expected
from shop.site import problems, shared_answers

log = logging.getLogger(__name__)
THREADS = 16
BODY_BYTES_MAX = 64 * 1024
# Staff edit texts and lists.
ADMIN_BODY_BYTES_MAX = 512 * 1024
BODY_SECONDS = 10.0
# All bodies under way.
HELD_BYTES_MAX = 64 * 1024 * 1024
SWEEP_SECONDS = 0.05
BOUND_AFTER_SECONDS = 0.5
UNREAD_SECONDS = 20
RETRY_AFTER_SECONDS = 5
TURN_SECONDS = 1.0
URL_BYTES_MAX = 8 * 1024

Header = tuple[str, str]
Request = tuple[Any, Any, bytes, "asyncio.Future[None]"]


class Refused(Exception):
    """The body is not taken: `answer` says why."""

    def __init__(self, answer: problems.Problem) -> None:
        self.answer = answer


class Door(Protocol):
    """Answers some requests before Django is asked: see `shop.checkout.sold_out_door`."""

    async def refusal(self, scope: Any, body: bytes) -> shared_answers.Answer | None:
        """The answer, or None."""

    def keep(self, scope: Any, body: bytes, status: int, headers: list[Header], answer: bytes) -> None:
        """What Django answered; headers that are only for us are removed."""


class WebApplication:
    """Django as an RSGI application; see Note [A thread only for a whole request]."""

    def __init__(self, django_application: WSGIApplication, door: Door) -> None:
        self._django, self._door = django_application, door
        # Not an executor: its futures cost more than the handover.
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._held_bytes = 0
        self._answered: deque[asyncio.Future[None]] = deque()
        self._is_sweeping = False
        self._waiting = 0
        self._reporter: reporting.Reporter

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian once in the process that serves, before it listens."""
        for number in range(THREADS):
            threading.Thread(target=self._work, name=f"web-{number}", daemon=True).start()
        _allow_many_connections()
        loop.call_later(BOUND_AFTER_SECONDS, _bound_unread_answers, loop)
        activity.current.say("working", "serves pages")
        self._turn(loop)
        self._reporter = reporting.start(expected.WEB)
        sending.start()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian when the process ends."""
        sending.stop()
        self._reporter.stop()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note that requests come in, and, while none waits for a thread, that they are served."""
        activity.current.turn()
        if self._requests.empty():
            activity.current.turn("threads")
        loop.call_later(TURN_SECONDS, self._turn, loop)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        if (shared := shared_answers.find(scope)) is not None:
            shared_answers.send(protocol, scope, shared)
            return
        try:
            body = await self._body(scope, protocol)
        except Refused as refused:
            _refuse(protocol, refused.answer)
            return
        if body and (known := await self._door.refusal(scope, body)) is not None:
            protocol.response_bytes(422, known.headers, known.body)
            return
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[None] = loop.create_future()
        self._waiting += 1
        self._requests.put((scope, protocol, body, answered))
        if not self._is_sweeping:
            self._sweep(loop)
        await answered

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the coroutines of answered requests, some at a time: to wake the loop for each costs as much as a query.

        Nobody waits for it: the client has its answer.
        """
        while self._answered:
            answered = self._answered.popleft()
            self._waiting -= 1
            if not answered.done():
                answered.set_result(None)
        self._is_sweeping = self._waiting > 0
        if self._is_sweeping:
            loop.call_later(SWEEP_SECONDS, self._sweep, loop)

    async def _body(self, scope: Any, protocol: Any) -> bytes:
        if len(scope.query_string) + len(scope.path) > URL_BYTES_MAX:
            raise Refused(problems.Problem(414, "uri_too_long", f"An address has at most {URL_BYTES_MAX} bytes."))
        headers = scope.headers
        declared = headers.get("content-length")
        if declared is None and "transfer-encoding" not in headers:
            return b""
        limit = ADMIN_BODY_BYTES_MAX if scope.path.startswith("/admin/") else BODY_BYTES_MAX
        length = int(declared) if declared is not None else None
        if length is not None and length > limit:
            raise Refused(_too_large(limit))
        if length == 0:
            return b""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read(protocol, length=length, limit=limit)
        except TimeoutError:
            sentence = f"The body was not complete after {BODY_SECONDS:.0f} seconds. Send it again."
            raise Refused(problems.Problem(408, "too_slow", sentence)) from None

    async def _read(self, protocol: Any, *, length: int | None, limit: int) -> bytes:
        """The whole body, or `Refused`.

        Piece by piece, each copied: granian's own way to read it whole keeps a buffer of kilobytes for each byte of a
        client that sends them one by one.
        """
        held, ends = bytearray(), 0
        try:
            async for chunk in protocol:
                # Granian ends a body with an empty chunk, and says the same where the client broke off.
                ends += not chunk
                held += chunk
                self._held_bytes += len(chunk)
                if len(held) > limit:
                    raise Refused(_too_large(limit))
                if self._held_bytes > HELD_BYTES_MAX:
                    raise Refused(problems.Problem(503, "busy", "Too many requests are under way. Try again soon."))
                if len(held) == length:
                    return bytes(held)
        finally:
            self._held_bytes -= len(held)
        if ends > 1 or length is not None:
            raise Refused(problems.Problem(400, "broken_off", "The body broke off. Send it again."))
        return bytes(held)

    def _work(self) -> None:
        """Serve, in a thread of its own, one request after the other."""
        while True:
            scope, protocol, body, answered = self._requests.get()
            try:
                self._serve(scope, protocol, body)
            except Exception:
                log.exception("A request was not answered")
            finally:
                self._answered.append(answered)
                activity.current.progress()

    def _serve(self, scope: Any, protocol: Any, body: bytes) -> None:
        """Run Django and hand its answer over; without one, granian says 500."""
        status, headers = 500, list[Header]()

        def start_response(line: str, fields: list[Header], _: object = None) -> None:
            nonlocal status, headers
            status, headers = int(line[:3]), fields

        answer = self._django(environ_of(scope, body), start_response)  # type: ignore[arg-type]  # the stubs want a protocol
        whole = _whole(answer)
        self._door.keep(scope, body, status, headers, whole)
        if (shared := shared_answers.keep(scope, status, headers, whole)) is not None:
            shared_answers.send(protocol, scope, shared)
            return
        protocol.response_bytes(status, headers, whole)


def environ_of(scope: Any, body: bytes) -> dict[str, Any]:
    """The request as WSGI has it (PEP 3333).

    A header with an underscore in its name is left out: it would pass for the one with a hyphen, which a proxy sets.
    """
    server_name, _, server_port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode().decode("latin-1"),
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "SERVER_NAME": server_name,
        "SERVER_PORT": server_port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if name == "content-type":
            environ["CONTENT_TYPE"] = value
        elif name not in ("content-length", "transfer-encoding") and "_" not in name:
            key = f"HTTP_{name.upper().replace('-', '_')}"
            separator = "; " if name == "cookie" else ","
            environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    if "HTTP_HOST" not in environ and scope.authority:
        environ["HTTP_HOST"] = scope.authority
    return environ


def _whole(answer: Iterable[bytes]) -> bytes:
    try:
        return b"".join(answer)
    finally:
        if close := getattr(answer, "close", None):
            close()


def _too_large(limit: int) -> problems.Problem:
    return problems.Problem(413, "too_large", f"A body has at most {limit} bytes here. Send less.")


def _refuse(protocol: Any, problem: problems.Problem) -> None:
    # What the client still sends is not read: the connection ends.
    headers = [("content-type", problems.CONTENT_TYPE), ("cache-control", "no-store"), ("connection", "close")]
    if problem.status == 503:
        headers.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    protocol.response_bytes(problem.status, headers, problem.body())


def _allow_many_connections() -> None:
    """A thousand slow ones must not use up the descriptors of the rest."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bound_unread_answers(loop: asyncio.AbstractEventLoop) -> None:
    """Have the kernel end connections whose client reads nothing; they inherit it from the socket that listens.

    Granian makes that socket itself, after it has called us.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT") and not sum(map(_bound, os.listdir("/proc/self/fd"))):
        loop.call_later(BOUND_AFTER_SECONDS, _bound_unread_answers, loop)


def _bound(descriptor: str) -> bool:
    """Whether it is a socket that listens; then it is bounded now."""
    try:
        if not stat.S_ISSOCK(os.fstat(int(descriptor)).st_mode):
            return False
    except OSError:
        return False  # the descriptor of the list itself
    with socket.socket(fileno=os.dup(int(descriptor))) as found:
        if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        return True
