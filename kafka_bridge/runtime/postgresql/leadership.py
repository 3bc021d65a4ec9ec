"""Work that only one process does at a time: it leads, any number of others stand by.

# Note [A leader that is silent]
A leader asks PostgreSQL something at least once a second, on the connection that holds the lock. One that is frozen, or
cut off without a word, keeps the lock and asks nothing: PostgreSQL waits for it, and the work would wait as well. So
a standby ends such a session after `leader_silent_seconds`; by the database's own clock, and never while a statement is
being carried out, however long it takes. The lock keeps the work from being done twice in vain; it is not what makes it
right, because a leader that wakes up goes on for a moment before it notices.

# Note [A pool between]
The lock belongs to a session of the server. A pool that hands sessions out for one transaction each (PgBouncer's
`pool_mode = transaction`) gives that of one leader to the next process that asks, which then has the lock as well. So a
process that finds a pool between itself and PostgreSQL tries that out first, and refuses to lead if it is so. A pool is
between where the session's number is not the one that the server gave when the connection was made. The attempt: while
this connection rests, as many others as a pool usually has are kept in a transaction. If one of them is served by the
session that is ours, sessions are shared.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from django.db import connections
from psycopg import errors

from kafka_bridge.runtime import backoff, clients, processes
from kafka_bridge.runtime.postgresql import database_bounds
from kafka_bridge.telemetry import activity, metrics

log = logging.getLogger(__name__)
LEADING = metrics.gauge(
    "leader", "Whether this process leads: 1, or 0 while another one does", ["role"], by="relay, timekeeper"
)
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


# A pool of PgBouncer has 20 by default; a transaction that has to wait for one says nothing more about ours.
_PROBES = 25
_PROBE_SECONDS = 2.0


class SharedSession(Exception):
    """PostgreSQL is behind a pool that gives a session to several clients (PgBouncer in transaction mode), so that two
    processes would lead at once. Give this role PostgreSQL's own address, or a pool in session mode (DATABASE_URL).
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


def run_as_leader(lock_id: int, *, role: str, stop: threading.Event, work: Callable[[Connection], None]) -> None:
    """Call `work` whenever this process leads, until told to stop; stand by in between.

    `work` gets the connection that holds the lock (autocommit). It must use it at least once a second (see Note
    [A leader that is silent]), return when `stop` is set, and let `psycopg.OperationalError` pass: the lock went with
    the connection, so this process queues up for it again. Survives the loss of PostgreSQL.

    Raises:
        SharedSession: the lock would not hold.
    """
    failures = 0
    while not stop.is_set():
        try:
            with _leadership(lock_id, role=role, stop=stop) as connection:
                if connection is not None:
                    failures = 0
                    LEADING.labels(role).set(1)
                    work(connection)
        except (psycopg.OperationalError, errors.ReadOnlySqlTransaction) as error:
            failures += 1
            activity.current.say("waiting", "PostgreSQL cannot be used")
            activity.current.note_use("postgresql", error=type(error).__name__)
            pause = backoff.exponential(
                failures, first_seconds=_FIRST_PAUSE_SECONDS, longest_seconds=clients.conf().backoff_max_seconds
            )
            log.warning("%s: PostgreSQL cannot be used (%s); next try in %.1f s", role, str(error).strip(), pause)
            stop.wait(pause)
        finally:
            LEADING.labels(role).set(0)


@contextmanager
def _leadership(lock_id: int, *, role: str, stop: threading.Event) -> Iterator[Connection | None]:
    """Wait for the advisory lock; yields the connection that holds it, or None on `stop`."""
    with psycopg.connect(**connection_parameters(), autocommit=True) as connection:
        database_bounds.give_up_after(connection, database_bounds.longest_wait_seconds())
        _check_session(connection)
        is_standing_by = False
        while not stop.is_set():
            activity.current.turn()
            # Tried, not waited for: a session that waits for a lock could not hear `stop`.
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", [lock_id]).fetchone()
            if row and row[0]:
                log.info("%s: leading", role)
                yield connection
                return
            if not is_standing_by:
                log.info("%s: another one leads; standing by", role)
                processes.announce_ready()
                activity.current.say("standing by", "another one leads")
                activity.current.note_use("postgresql")
            is_standing_by = True
            _end_silent_leader(connection, lock_id, role=role)
            stop.wait(_STANDBY_SECONDS)
        yield None


def _check_session(connection: Connection) -> None:
    """See Note [A pool between].

    Raises:
        SharedSession: see there.
    """
    ours = _session(connection)
    if ours == connection.info.backend_pid:
        return
    with ExitStack() as held:
        for _ in range(_PROBES):
            try:
                probe = held.enter_context(psycopg.connect(**connection_parameters()))
                database_bounds.give_up_after(probe, _PROBE_SECONDS)
                if _session(probe) == ours:
                    raise SharedSession
            except psycopg.OperationalError:  # the pool has no session left: then ours was not among those it gave
                return


def _session(connection: Connection) -> int:
    """The process of the server that serves this statement."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def _end_silent_leader(connection: Connection, lock_id: int, *, role: str) -> None:
    parameters = {"lock": lock_id, "seconds": clients.conf().leader_silent_seconds}
    for name, seconds, _ in connection.execute(_END_SILENT_LEADER, parameters).fetchall():
        log.error("%s: the leader (%s) has said nothing for %s s; its session is ended", role, name, seconds)


def connection_parameters() -> dict[str, Any]:
    """How Django reaches PostgreSQL, for a connection of our own beside Django's."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    parameters.pop("cursor_factory", None)  # Django's own; plain rows are wanted here
    return parameters
