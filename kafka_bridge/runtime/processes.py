"""What the long-running commands share: stopping cleanly, saying when they are ready, being the only leader.

# Note [A leader that is silent]
A leader asks PostgreSQL something at least once a second, on the connection that holds the lock. One that is frozen, or
cut off without a word, keeps the lock and asks nothing: PostgreSQL waits for it, and the work would wait as well. So
whoever stands by ends such a session after `leader_silent_seconds`; by the database's own clock, and never while a
statement is being carried out, however long it takes. The lock keeps the work from being done twice in vain; it is
not what makes it right, because a leader that wakes up goes on for a moment before it notices.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Never

import psycopg
from django.db import connections

from kafka_bridge.runtime import conf

log = logging.getLogger(__name__)

# See Note [A leader that is silent]. The lock's number is in two halves there; an idle session waits for its client,
# and so does one whose client does not read the answer.
_END_SILENT_LEADER = """
SELECT a.application_name, extract(epoch FROM clock_timestamp() - a.state_change)::int, pg_terminate_backend(a.pid)
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.classid = (%(lock)s::bigint >> 32)::oid AND l.objid = (%(lock)s::bigint & 4294967295)::oid
    AND a.wait_event_type = 'Client' AND a.state_change < clock_timestamp() - make_interval(secs => %(seconds)s)
"""


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; loops look at it at least once a second."""
    stop = threading.Event()

    def request_stop(number: int, _: object) -> None:
        log.info("%s: finishing what is under way, then stopping", signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    return stop


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, so that what was made for the work at hand is cleared away either way."""

    def interrupt(number: int, frame: FrameType | None) -> Never:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_at_end_of_input(stop: threading.Event, *, within_seconds: float) -> None:
    """Set `stop` when standard input ends, as it does when the parent that holds its other end is killed.

    Nobody is left then who would end this process by force; if it still runs so long after that, it does so itself.
    """

    def wait_for_the_end() -> None:
        # Not through sys.stdin: the interpreter could not shut down while a thread reads from it.
        while os.read(0, 4096):
            pass
        log.warning("whoever started this process is gone: finishing what is under way, then stopping")
        stop.set()
        time.sleep(within_seconds)
        os._exit(1)

    threading.Thread(target=wait_for_the_end, name="end-of-input", daemon=True).start()


def announce_ready() -> None:
    """Touch the file that whoever started this process watches, if it asked for one."""
    if ready_file := conf.current().ready_file:
        Path(ready_file).touch()


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

    Waits for the lock, a second at a time; yields the connection that holds it (autocommit), or None on `stop`. The
    caller must ask something on it once a second: see Note [A leader that is silent].
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
            _end_silent_leader(connection, lock_id, what=what)
            stop.wait(1)
        yield None


def _end_silent_leader(connection: "psycopg.Connection[tuple[object, ...]]", lock_id: int, *, what: str) -> None:
    parameters = {"lock": lock_id, "seconds": conf.current().leader_silent_seconds}
    for name, seconds, _ in connection.execute(_END_SILENT_LEADER, parameters).fetchall():
        log.error("%s: the leader (%s) has said nothing for %s s; its session is ended", what, name, seconds)
