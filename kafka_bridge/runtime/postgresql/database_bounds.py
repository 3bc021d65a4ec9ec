"""Connections to PostgreSQL: none waits without end, and none is kept that leads to a server that takes no writes.

# Note [Frozen in a transaction]
A consumer that is frozen, or cut off without a word, while a transaction of its own is open keeps the locks of that
transaction: those of its inbox rows, for one. The member that takes over its partitions gets the same messages, waits
for those locks, and cannot even give partitions back meanwhile. So PostgreSQL ends the session of a consumer that has a
transaction open and asks nothing for `consumer_silent_seconds`. Nothing is lost by that: what the consumer did there
is undone, and if it wakes up it finds PostgreSQL gone, and begins the batch again.

# Note [A server that says nothing]
A network that drops everything is noticed by the kernel, if the project sets `tcp_user_timeout` and keepalives. A
server that is frozen, or a proxy between that is, keeps the connection well alive and never answers. So a statement of
a long-running process has `database_answer_seconds`: the server ends it itself then (`statement_timeout`), and if it
does not even do that, the connection is given up a little later. Either is an outage, waited out like any other.

# Note [Read-only]
After a failover a process may still be connected to the server that is no longer the primary: it reads well, and
refuses every write. For the bridge and the project that is PostgreSQL being away, so it is raised as OperationalError,
and the connection is closed when Django next looks at it. Set `target_session_attrs=read-write`, and no new one leads
there.
"""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import InternalError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg import errors

from kafka_bridge.runtime import conf

_LATER = 1.25
"""So many times as long as the server lets a statement run, nobody waits for the server."""
_READ_ONLY = "PostgreSQL takes no writes (read-only): is this the standby?"


class ReadOnlyServer(OperationalError):
    """PostgreSQL answers, but takes no writes. It is waited out; connect again to find the server that does."""


def refuse_read_only() -> None:
    """In this process a write that is refused by a read-only server counts as an outage; see Note [Read-only]."""
    connection_created.connect(_watch, dispatch_uid="kafka_bridge.runtime.postgresql.database_bounds.read_only")


def bound_statements() -> None:
    """For all connections that this process opens from now on; see Note [A server that says nothing]."""
    connection_created.connect(_bound, dispatch_uid="kafka_bridge.runtime.postgresql.database_bounds.statements")


def end_when_silent() -> None:
    """For all connections that this process opens from now on; see Note [Frozen in a transaction]."""
    connection_created.connect(_limit_idleness, dispatch_uid="kafka_bridge.runtime.postgresql.database_bounds.idle")


def longest_wait_seconds() -> float:
    """How long a long-running process waits for an answer of PostgreSQL before it gives the connection up."""
    return conf.current().database_answer_seconds * _LATER


def give_up_after(connection: "psycopg.Connection[Any]", seconds: float) -> None:
    """Close the connection, and raise psycopg.OperationalError, if a statement has no answer for so long."""
    wait = connection.wait

    def wait_so_long(generator: Any, *args: Any, **options: Any) -> Any:
        if options.get("timeout") is not None:
            return wait(generator, *args, **options)
        try:
            return wait(generator, *args, **options | {"timeout": seconds})
        except errors._WaitTimeout as error:
            connection.pgconn.finish()
            raise psycopg.OperationalError(f"PostgreSQL has not answered for {seconds:g} s") from error

    connection.wait = wait_so_long  # type: ignore[method-assign, assignment]  # on purpose


def check_takes_writes(connection: "psycopg.Connection[Any]") -> None:
    """Look at what the server has reported of itself; costs no round trip. Says nothing behind a pool.

    Raises:
        psycopg.OperationalError: it was made read-only.
    """
    if connection.info.parameter_status("default_transaction_read_only") == "on":
        raise psycopg.OperationalError(_READ_ONLY)


def _watch(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _raise_read_only not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, _raise_read_only)


def _raise_read_only(
    execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: dict[str, Any]
) -> Any:
    try:
        return execute(sql, parameters, many, context)
    except InternalError as error:
        if not isinstance(error.__cause__, errors.ReadOnlySqlTransaction):
            raise
        # At the next look, not here: a transaction may be under way.
        context["connection"].close_at = time.monotonic()
        raise ReadOnlyServer(_READ_ONLY) from error.__cause__


def bound(connection: BaseDatabaseWrapper, seconds: float) -> None:
    """For this connection, which is open; see Note [A server that says nothing]."""
    give_up_after(connection.connection, seconds * _LATER)
    _set(connection, "statement_timeout", seconds)


def _bound(connection: BaseDatabaseWrapper, **_: Any) -> None:
    bound(connection, conf.current().database_answer_seconds)


def _limit_idleness(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _set(connection, "idle_in_transaction_session_timeout", conf.current().consumer_silent_seconds)


def _set(connection: BaseDatabaseWrapper, name: str, seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [name, str(int(seconds * 1000))])
