"""What the shop needs, checked within a bound of time: is it there, does it answer, and what happens without it.

# Note [Never longer than a probe waits]
What is frozen neither answers nor refuses, so each part is checked in a thread of its own, and after `ANSWER_SECONDS`
counts as not answering, unless it did a moment ago: a machine may be busy. A result serves all who ask within
`FRESH_SECONDS`, so hundreds of probes a minute cost no more than one every two seconds, and a part that hangs holds one
thread, however many ask.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import redis
from django.db import DatabaseError, OperationalError, connection
from django_redis import get_redis_connection
from django_redis.exceptions import ConnectionInterrupted

from kafka_bridge.monitoring.brokers import broker_probe
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import database_bounds
from orders.mailing import mails
from shop.operations.processes import expected, redis_store
from shop.operations.processes.expected import NotExpected

log = logging.getLogger(__name__)
ANSWER_SECONDS = 1.5
FRESH_SECONDS = 2.0
MOMENT_SECONDS = 6.0
KAFKA_TIMEOUT_SECONDS = 1.0
SILENT_SECONDS = 9.0
"""Heartbeats come every five seconds; one process that has said nothing for so long is told as missing."""
EVENT_WAITS_SECONDS = 5.0
"""An event leaves within milliseconds of its commit."""
_REDIS_KEY = ":readiness"
"""Among those of the cache, where the roles that answer `/readyz` may write."""
Answer = dict[str, Any]


class MailsLate(Exception):
    """A mail has been due for minutes, and nobody has taken it up."""


class EventsWait(Exception):
    """Events are stated, and do not leave for Kafka."""


class ProcessesMissing(Exception):
    """Some roles have fewer processes than they should; the message names them."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A part that the shop needs: how to check it, which errors mean that it is down, and the consequences."""

    name: str
    ask: Callable[[], None]
    errors: tuple[type[Exception], ...]
    without_it: str
    is_vital: bool = False


def _ask_postgresql() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            is_read_only = cursor.fetchone()[0] == "on"
    except OperationalError as error:
        # libpq makes no connection to such a server (target_session_attrs).
        is_read_only = "read-only" in str(error)
        if not is_read_only:
            raise
    if is_read_only:
        raise database_bounds.ReadOnlyServer


def _ask_mails() -> None:
    if mails.oldest_due_seconds() > mails.LATE_SECONDS:
        raise MailsLate


def _ask_relay() -> None:
    if outbox.oldest_seconds() > EVENT_WAITS_SECONDS:
        raise EventsWait


def _ask_redis() -> None:
    # One that is full, or a replica after a failover, answers and takes nothing.
    get_redis_connection("default").set(_REDIS_KEY, 1, px=int(FRESH_SECONDS * 1000))


def _ask_kafka() -> None:
    broker_probe.ask(within_seconds=KAFKA_TIMEOUT_SECONDS)


def _ask_processes() -> None:
    since = time.time() - SILENT_SECONDS
    present = Counter(beat.role for beat in redis_store.read() if beat.beat_at >= since)
    if missing := [role for role, number in expected.current().items() if present[role] < number]:
        raise ProcessesMissing(", ".join(missing))


_REDIS_ERRORS = (redis.RedisError, ConnectionInterrupted, OSError)
POSTGRESQL = Check(
    name="postgresql",
    ask=_ask_postgresql,
    errors=(DatabaseError,),
    is_vital=True,
    without_it="no page and no order works; see DATABASE_URL",
)
# What one part has to say is asked one after the other; parts are asked at the same time.
PARTS: tuple[tuple[Check, ...], ...] = (
    (
        POSTGRESQL,
        Check(
            name="relay",
            ask=_ask_relay,
            errors=(DatabaseError, EventsWait),
            without_it="orders are taken and wait in the outbox; is a relay running, and does it reach Kafka?",
        ),
        Check(
            name="mail",
            ask=_ask_mails,
            errors=(DatabaseError, MailsLate),
            without_it="orders go on, their mails wait; is notifications running, and does it reach EMAIL_URL?",
        ),
    ),
    (
        Check(
            name="redis",
            ask=_ask_redis,
            errors=_REDIS_ERRORS,
            without_it="orders are taken, pages are slower and do not update live; see REDIS_URL",
        ),
        Check(
            name="processes",
            ask=_ask_processes,
            errors=(*_REDIS_ERRORS, NotExpected, ProcessesMissing),
            without_it="what these do waits, and is not lost; see `manage.py show_processes`",
        ),
    ),
    (
        Check(
            name="kafka",
            ask=_ask_kafka,
            errors=(OSError,),
            without_it="orders are taken and wait in the outbox; see KAFKA_BOOTSTRAP_SERVERS",
        ),
    ),
)


@dataclass
class _Part:
    """One part's checks, and what they have found last; see Note [Never longer than a probe waits]."""

    checks: tuple[Check, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _answers: dict[str, Answer] = field(default_factory=dict)
    _found_at: float = float("-inf")
    _running: threading.Event | None = None
    """Set once the check that is under way is done."""

    def begin(self) -> threading.Event | None:
        """See to it that there is a fresh answer, or one is on its way: then, what to wait for."""
        with self._lock:
            if self._running is None and time.monotonic() - self._found_at > FRESH_SECONDS:
                self._running = threading.Event()
                threading.Thread(target=self._check, args=[self._running], name="readiness", daemon=True).start()
            return self._running

    def answers(self, done: threading.Event | None, until: float) -> dict[str, Answer]:
        """What is known of each check by then."""
        in_time = done is None or done.wait(max(0.0, until - time.monotonic()))
        if not in_time and time.monotonic() - self._found_at > MOMENT_SECONDS:
            return {check.name: _answer(check, "no answer") for check in self.checks}
        return self._answers

    def forget(self) -> None:
        """Ask afresh the next time."""
        self._found_at = float("-inf")

    def _check(self, done: threading.Event) -> None:
        try:
            found = {check.name: _answer_of(check) for check in self.checks}
        except Exception:
            log.exception("a readiness check failed")
            found = {check.name: _answer(check, "unknown") for check in self.checks}
        connection.close()
        with self._lock:
            self._answers, self._found_at, self._running = found, time.monotonic(), None
        done.set()


_parts = tuple(_Part(checks) for checks in PARTS)


def check_all() -> dict[str, Answer]:
    """By name, `{"ok": true, "milliseconds": …}` or `{"ok": false, "error": …, "means": …}`; within a bound of time."""
    until = time.monotonic() + ANSWER_SECONDS
    begun = [(part, part.begin()) for part in _parts]
    found = [part.answers(done, until) for part, done in begun]
    return {name: answer for answers in found for name, answer in answers.items()}


def forget() -> None:
    """What was found is not told any more: the settings are others now."""
    for part in _parts:
        part.forget()


def vital() -> Iterable[str]:
    """Names of the checks without which no order can be taken."""
    return (check.name for part in PARTS for check in part if check.is_vital)


def _answer_of(check: Check) -> Answer:
    started = time.monotonic()
    try:
        check.ask()
    except ProcessesMissing as error:
        return _answer(check, type(error).__name__) | {"missing": str(error)}
    except check.errors as error:
        # The kind of error only: its text may hold addresses and user names.
        return _answer(check, type(error).__name__)
    return {"ok": True, "milliseconds": round((time.monotonic() - started) * 1000, 1)}


def _answer(check: Check, error: str) -> Answer:
    return {"ok": False, "error": error, "means": check.without_it}
