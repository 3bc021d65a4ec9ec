"""The circuit breaker: leaves a gateway alone that has not answered for a while, and tries it with one call."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from kafka_bridge.telemetry import metrics

OPEN = metrics.gauge("gateway_breaker_open", "Whether the gateway is left alone for a while: 1, or 0", by="payments")


class Ticket(NamedTuple):
    """The right to make one call."""

    era: int
    """Tells calls of a time when all was well from those since."""
    is_probe: bool
    """Whether the outcome of this one call decides."""


class CircuitBreaker:
    """Counts calls without an answer. It may be used by many threads at a time, and keeps none of them waiting.

    *Closed*, it lets every call through. So many in a row without an answer *open* it, and it lets none through for a
    while. Then it is *half-open*: one call goes through as a probe, and its outcome closes or opens it.
    """

    def __init__(self, *, failures: int, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._most_failures, self._seconds, self._now = failures, seconds, now
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._is_probing = False
        # Counts openings: what a call from before the last one comes to says nothing about now.
        self._era = 0

    def admit(self) -> Ticket | None:
        """A ticket for one call, which has to be given back by `note`; None if none may be made now."""
        with self._lock:
            if self._opened_at is None:
                return Ticket(self._era, is_probe=False)
            if not self._may_probe():
                return None
            self._is_probing = True
            return Ticket(self._era, is_probe=True)

    def note(self, ticket: Ticket, *, answered: bool) -> None:
        """Say what the call with this ticket came to."""
        with self._lock:
            if ticket.era != self._era:
                return
            self._is_probing = False
            if answered:
                self._failures, self._opened_at = 0, None
                OPEN.set(0)
                return
            self._failures += 1
            if self._opened_at is not None or self._failures >= self._most_failures:
                self._opened_at = self._now()
                self._era += 1
                OPEN.set(1)

    def room(self, wanted: int) -> int:
        """How many of so many calls may be begun now; nothing is promised, another thread may be quicker."""
        with self._lock:
            if self._opened_at is None:
                return wanted
            return min(wanted, 1) if self._may_probe() else 0

    def _may_probe(self) -> bool:
        return self._opened_at is not None and not self._is_probing and self._now() >= self._opened_at + self._seconds
