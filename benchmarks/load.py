"""A load generator lean enough not to be what is measured: `python -m benchmarks.load PLAN RESULT`.

One process, one thread, kept-alive connections, requests made of prepared bytes. Two ways of working:

- closed: each connection sends its next order as soon as the last one is answered (how much can the server take?);
- open: orders are due at random moments of a given rate, whether or not earlier ones are answered, and their time runs
  from the moment they were due (how long does a buyer wait?). Waiting for a free connection counts, so a server that
  stalls cannot hide it.

It knows nothing of Django, so that it starts at once and stays small.
"""

import json
import random
import re
import selectors
import socket
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ANSWER_SECONDS = 30.0
_VARIANTS = 1000
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What to send where; times in seconds."""

    port: int
    path: str
    skus: Sequence[str]
    seconds: float
    connections: int = 64
    warm_up_seconds: float = 0.0
    """Sent as well, but not counted."""
    rate: float | None = None
    """Orders per second for an open run; None for a closed one."""
    seed: int = 1
    keep_orders: bool = False
    """Whether the report shall name each order with the moment of its click."""
    expects: int = 201
    """The status of an answer that counts."""
    is_read: bool = False
    """Whether the path is read (GET) instead of orders being sent to it."""


@dataclass
class LoadReport:
    """What came back."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    orders: dict[str, float] = field(default_factory=dict)
    """Order id to the moment of its click, in seconds since 1970."""
    first_error: str = ""


class Requests:
    """Orders as bytes: a fresh idempotency key each, books picked at random."""

    def __init__(self, plan: LoadPlan) -> None:
        picker = random.Random(plan.seed)  # noqa: S311 - to be repeatable, not secret
        self._read = (
            f"GET {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n\r\n".encode() if plan.is_read else b""
        )
        if self._read:
            return
        lines = min(2, len(plan.skus))
        self._tails = [_tail(picker.sample(list(plan.skus), lines), picker) for _ in range(_VARIANTS)]
        self._pick = picker.choice
        length = len(_START) + 36 + len(self._tails[0])
        self._head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n"
        ).encode() + _START

    def next(self) -> bytes:
        """The whole request of one more order, or of the page."""
        if self._read:
            return self._read
        return self._head + str(uuid.uuid4()).encode() + self._pick(self._tails)


_START = b'{"idempotency_key":"'


def _tail(skus: list[str], picker: random.Random) -> bytes:
    """The rest of an order's body; always of the same length."""
    order = {
        "lines": [{"sku": sku, "quantity": picker.randint(1, 3)} for sku in skus],
        "name": "Ada Reader",
        "email": "ada.reader@bookrush.example",
        "address_line1": "12 Library Lane",
        "city": "Alexandria",
        "postcode": "22301",
        "country": "US",
        "payment_method": "pm_success",
    }
    return b'",' + json.dumps(order, separators=(",", ":")).encode()[1:]


class Connection:
    """One kept-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self._received = b""

    def send(self, request: bytes, *, since: float) -> None:
        """Send; the order's time runs from `since` (of the monotonic clock)."""
        self.since = since
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Status and body once the answer is complete; call it when there is something to read.

        Raises:
            ConnectionError: the server closed the connection.
        """
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = _LENGTH.search(head)
        if length is None:
            raise ConnectionError(f"an answer without Content-Length: {head[:200]!r}")
        if len(body) < int(length.group(1)):
            return None
        self._received = b""
        return int(head[9:12]), body


class Generator:
    """Carries out one plan."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._requests = Requests(plan)
        self._report = LoadReport()
        self._selector = selectors.DefaultSelector()
        self._connections: list[Connection] = []
        self._idle: deque[Connection] = deque()
        self._count_from = self._count_until = 0.0
        # One wall clock reading for the whole run, so that a click is as exact as the monotonic clock.
        self._wall = time.time() - time.monotonic()

    def run(self) -> LoadReport:
        """Send until the time is over, then wait for the answers still due.

        Raises:
            OSError: the server went away.
            TimeoutError: answers did not come.
        """
        for _ in range(self._plan.connections):
            connection = Connection(self._plan.port)
            self._connections.append(connection)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._idle.append(connection)
        self._count_from = time.monotonic() + self._plan.warm_up_seconds
        self._count_until = self._count_from + self._plan.seconds
        if self._plan.rate is None:
            self._run_closed()
        else:
            self._run_open(self._plan.rate)
        return self._report

    def _run_closed(self) -> None:
        while self._idle:
            self._send(time.monotonic())
        last = self._count_from
        while len(self._idle) < len(self._connections):
            for connection, now in self._answers(ANSWER_SECONDS):
                if now < self._count_until:
                    last = now
                    connection.send(self._requests.next(), since=now)
                else:
                    self._idle.append(connection)
        self._report.seconds = last - self._count_from

    def _run_open(self, rate: float) -> None:
        arrivals = random.Random(self._plan.seed)  # noqa: S311 - to be repeatable, not secret
        due, waiting = time.monotonic(), deque[float]()
        while due < self._count_until or waiting or len(self._idle) < len(self._connections):
            now = time.monotonic()
            while due <= now and due < self._count_until:
                waiting.append(due)
                due += arrivals.expovariate(rate)
            while waiting and self._idle:
                self._send(waiting.popleft())
            pause = min(due - now, ANSWER_SECONDS) if due < self._count_until else ANSWER_SECONDS
            for connection, _ in self._answers(max(0.0, pause), may_be_none=due < self._count_until):
                self._idle.append(connection)
        self._report.seconds = self._plan.seconds

    def _send(self, since: float) -> None:
        self._idle.popleft().send(self._requests.next(), since=since)

    def _answers(self, timeout_seconds: float, *, may_be_none: bool = False) -> list[tuple[Connection, float]]:
        """Wait for answers, note them, return the connections that are free again."""
        ready = self._selector.select(timeout_seconds)
        if not ready and not may_be_none:
            raise TimeoutError(f"no answer within {timeout_seconds:g} s")
        free = []
        for key, _ in ready:
            connection: Connection = key.data
            answer = connection.receive()
            if answer is not None:
                now = time.monotonic()
                self._note(connection.since, now, *answer)
                free.append((connection, now))
        return free

    def _note(self, since: float, now: float, status: int, body: bytes) -> None:
        counted = now if self._plan.rate is None else since
        if not self._count_from <= counted < self._count_until:
            return
        self._report.statuses[status] += 1
        if status != self._plan.expects:
            self._report.first_error = self._report.first_error or body[:300].decode(errors="replace")
            return
        self._report.latencies_ms.append((now - since) * 1000)
        if self._plan.keep_orders:
            self._report.orders[json.loads(body)["order"]] = since + self._wall


def main() -> None:
    """Carry out the plan (a JSON object on the command line), write the report into the file named after it."""
    plan = LoadPlan(**json.loads(sys.argv[1]))
    report = Generator(plan).run()
    Path(sys.argv[2]).write_text(json.dumps({**vars(report), "statuses": dict(report.statuses)}))


if __name__ == "__main__":
    main()
