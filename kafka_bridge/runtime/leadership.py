"""Work that only one process does at a time: it leads, any number of others stand by.

# Note [A leader that is silent]
A leader asks PostgreSQL something at least once a second, on the connection that holds the lock. One that is frozen, or
cut off without a word, keeps the lock and asks nothing: PostgreSQL waits for it, and the work would wait as well. So
a standby ends such a session after `leader_silent_seconds`; by the database's own clock, and never while a statement is
being carried out, however long it takes. The lock keeps the work from being done twice in vain; it is not what makes it
right, because a leader that wakes up goes on for a moment before it notices.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections

from kafka_bridge.runtime import backoff, clients, processes

log = logging.getLogger(__name__)
Connection = psycopg.Connection[Any]
_FIRST_PAUSE_SECONDS = 0.5
# How often a standby asks for the lock; so long a takeover takes at most.
_STANDBY_SECONDS = 1.0

# See Note [A leader that is silent]. The lock's number is in two halves there; an idle session waits for its client,
# and so does one whose client does not read the answer.
_END_SILENT_LEADER = """
SELECT a.application_name, extract(epoch FROM clock_timestamp() - a.state_change)::int, pg_terminate_backend(a.pid)
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.classid = (%(lock)s::bigint >> 32)::oid AND l.objid = (%(lock)s::bigint & 4294967295)::oid
    AND a.wait_event_type = 'Client' AND a.state_change < clock_timestamp() - make_interval(secs => %(seconds)s)
"""


def run_as_leader(lock_id: int, *, role: str, stop: threading.Event, work: Callable[[Connection], None]) -> None:
    """Call `work` whenever this process leads, until told to stop; stand by in between.

    `work` gets the connection that holds the lock (autocommit). It must use it at least once a second (see Note
    [A leader that is silent]), return when `stop` is set, and let `psycopg.OperationalError` pass: the lock went with
    the connection, so this process queues up for it again. Survives the loss of PostgreSQL.
    """
    failures = 0
    while not stop.is_set():
        try:
            with _leadership(lock_id, role=role, stop=stop) as connection:
                if connection is not None:
                    failures = 0
                    work(connection)
        except psycopg.OperationalError as error:
            failures += 1
            pause = backoff.exponential(
                failures, first_seconds=_FIRST_PAUSE_SECONDS, longest_seconds=clients.conf().backoff_max_seconds
            )
            log.warning("%s: PostgreSQL cannot be reached (%s); next try in %.1f s", role, str(error).strip(), pause)
            stop.wait(pause)


@contextmanager
def _leadership(lock_id: int, *, role: str, stop: threading.Event) -> Iterator[Connection | None]:
    """Wait for the advisory lock; yields the connection that holds it, or None on `stop`."""
    with psycopg.connect(**connection_parameters(), autocommit=True) as connection:
        is_standing_by = False
        while not stop.is_set():
            # Tried, not waited for: a session that waits for a lock could not hear `stop`.
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", [lock_id]).fetchone()
            if row and row[0]:
                log.info("%s: leading", role)
                yield connection
                return
            if not is_standing_by:
                log.info("%s: another one leads; standing by", role)
                processes.announce_ready()
            is_standing_by = True
            _end_silent_leader(connection, lock_id, role=role)
            stop.wait(_STANDBY_SECONDS)
        yield None


def _end_silent_leader(connection: Connection, lock_id: int, *, role: str) -> None:
    parameters = {"lock": lock_id, "seconds": clients.conf().leader_silent_seconds}
    for name, seconds, _ in connection.execute(_END_SILENT_LEADER, parameters).fetchall():
        log.error("%s: the leader (%s) has said nothing for %s s; its session is ended", role, name, seconds)


def connection_parameters() -> dict[str, Any]:
    """How Django reaches PostgreSQL, for a connection of our own beside Django's."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    parameters.pop("cursor_factory", None)  # Django's own; plain rows are wanted here
    return parameters
