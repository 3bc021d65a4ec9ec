"""What the long-running commands share: stopping cleanly, saying when they are ready, being the only leader."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections

log = logging.getLogger(__name__)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; loops look at it at least once a second."""
    stop = threading.Event()

    def request_stop(number: int, _: object) -> None:
        log.info("%s: finishing what is under way, then stopping", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    return stop


def announce_ready() -> None:
    """Touch the file that whoever started this process watches, if it asked for one."""
    if settings.READY_FILE:
        Path(settings.READY_FILE).touch()


def backoff(attempt: int, *, first_seconds: float, longest_seconds: float) -> float:
    """Seconds to wait after the `attempt`-th failure (from 1): doubling, with a ceiling."""
    return float(min(longest_seconds, first_seconds * 2 ** min(attempt - 1, 30)))


def connection_parameters() -> dict[str, Any]:
    """How Django reaches PostgreSQL, for a connection of our own beside Django's."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    parameters.pop("cursor_factory", None)  # Django's own; plain rows are wanted here
    return parameters


@contextmanager
def leadership(
    lock_id: int, *, what: str, stop: threading.Event
) -> Iterator["psycopg.Connection[tuple[object, ...]] | None"]:
    """Be the only one with this advisory lock, as long as the connection lives.

    Waits for the lock, a second at a time; yields the connection that holds it (autocommit), or None on `stop`.
    """
    with psycopg.connect(**connection_parameters(), autocommit=True) as connection:
        waiting = False
        while not stop.is_set():
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", [lock_id]).fetchone()
            if row and row[0]:
                log.info("%s: leading", what)
                yield connection
                return
            if not waiting:
                log.info("%s: another one leads; standing by", what)
                announce_ready()
            waiting = True
            stop.wait(1)
        yield None
