"""What PostgreSQL counts of its own work: transactions, bytes of its log, statements."""

import re
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, LiteralString, Self

import psycopg

_NOW = """
SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
    (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint
"""
# Sessions report what they have committed with a delay of up to a second, unless they are idle.
_REPORT = "SELECT pg_sleep(1.1)"
_STATEMENT = re.compile(rb"\[\d+\] (\S+) LOG:  (?:statement|execute [^:]+): ")
Connection = psycopg.Connection[Any]


class PostgresCounters:
    """Transactions and bytes of the log since it was made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._before = self._now()

    def spent(self) -> tuple[int, int]:
        """Transactions that were committed since, and bytes that the log has grown by."""
        self._connection.execute(_REPORT)
        transactions, wal_bytes = self._now()
        return transactions - self._before[0], wal_bytes - self._before[1]

    def _now(self) -> tuple[int, int]:
        row = self._connection.execute(_NOW).fetchone()
        return (row[0], row[1]) if row else (0, 0)


class StatementCount:
    """A context in which the server logs every statement; afterwards it is known how many each process made.

    `pg_stat_statements` is no part of the embedded server, and it could not tell the processes apart.
    """

    def __init__(self, connection: Connection, log: Path) -> None:
        self._connection = connection
        self._log = log
        self._from = 0
        self.by_process: Counter[str] = Counter()
        """By the name that a process gives its sessions; BEGIN and COMMIT are statements too."""

    def __enter__(self) -> Self:
        self._from = self._log.stat().st_size
        self._set("ALTER SYSTEM SET log_statement = 'all'")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._set("ALTER SYSTEM RESET log_statement")
        self.by_process = statements_in(self._log, start=self._from)

    def _set(self, statement: LiteralString) -> None:
        self._connection.execute(statement)
        self._connection.execute("SELECT pg_reload_conf()")


def statements_in(log: Path, *, start: int = 0) -> Counter[str]:
    """How many statements the server's log has from this byte on, by the names of the sessions that made them."""
    found: Counter[str] = Counter()
    with log.open("rb") as file:
        file.seek(start)
        for line in file:
            if statement := _STATEMENT.search(line):
                found[statement[1].decode()] += 1
    return found
