"""A table in use and its shadow: a namesake among PostgreSQL's temporary tables; see Note [A shadow]."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import InternalError, connection, transaction
from django.db.models import Model
from psycopg import errors

from kafka_bridge.replaying.offsets import InvalidRequest
from kafka_bridge.runtime.postgresql.database_bounds import ReadOnlyServer

_COMPARE = """
SELECT row_to_json(u)::text, row_to_json(s)::text
FROM {in_use} u FULL JOIN {shadow} s USING ({key})
WHERE ROW({u_columns}) IS DISTINCT FROM ROW({s_columns})
ORDER BY {key}
"""
_DELETE = """
DELETE FROM {in_use} u WHERE NOT EXISTS (
    SELECT FROM {shadow} s WHERE ROW({u_columns}) IS NOT DISTINCT FROM ROW({s_columns})
)
"""
_INSERT = "INSERT INTO {in_use} ({columns}) SELECT {columns} FROM {shadow} ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that is not what the log says; None where there is no row."""

    table: str
    key: str
    in_use: dict[str, Any] | None
    rebuilt: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ShadowTable:
    """A table in use, and its shadow; both names are quoted and have their schema."""

    name: str
    in_use: str
    shadow: str
    key: tuple[str, ...]
    columns: tuple[str, ...]

    def create(self) -> None:
        """Make the shadow, empty, with the same columns, defaults and constraints."""
        execute(f"CREATE TEMPORARY TABLE {self.shadow} (LIKE {self.in_use} INCLUDING ALL)")

    def drop(self) -> None:
        """Drop the shadow, if it is there."""
        execute(f"DROP TABLE IF EXISTS {self.shadow}")

    def lock(self) -> None:
        """Keep writers off the table in use (not readers) until the transaction ends."""
        execute(f"LOCK TABLE {self.in_use} IN SHARE ROW EXCLUSIVE MODE")

    def differences(self) -> list[RowDifference]:
        """The rows in which the two differ, by key."""
        found = []
        with connection.cursor() as cursor:
            cursor.execute(_COMPARE.format(**self._names()))
            for in_use, rebuilt in cursor.fetchall():
                row = json.loads(in_use or rebuilt)
                key = ", ".join(str(row[name]) for name in self.key)
                found.append(RowDifference(self.name, key, json.loads(in_use or "null"), json.loads(rebuilt or "null")))
        return found

    def replace(self) -> None:
        """Give the table in use the rows of the shadow; rows that are the same stay untouched."""
        execute(_DELETE.format(**self._names()))
        execute(_INSERT.format(**self._names()))

    def _names(self) -> dict[str, str]:
        quoted = [connection.ops.quote_name(name) for name in self.columns]
        return {
            "in_use": self.in_use,
            "shadow": self.shadow,
            "key": ", ".join(connection.ops.quote_name(name) for name in self.key),
            "columns": ", ".join(quoted),
            "u_columns": ", ".join(f"u.{name}" for name in quoted),
            "s_columns": ", ".join(f"s.{name}" for name in quoted),
        }


def table_of(model: type[Model]) -> ShadowTable:
    """The model's table, with a shadow that is still to be made.

    Raises:
        ProgrammingError: the table does not exist.
    """
    meta = model._meta
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s::regclass",
            [meta.db_table],
        )
        [schema] = cursor.fetchone()
    name = connection.ops.quote_name(meta.db_table)
    return ShadowTable(
        name=meta.db_table,
        # With its schema: without, the name means the shadow as soon as there is one.
        in_use=f"{connection.ops.quote_name(schema)}.{name}",
        shadow=f"pg_temp.{name}",
        key=tuple(str(field.column) for field in meta.pk_fields),
        columns=tuple(str(field.column) for field in meta.concrete_fields if not field.generated),
    )


@contextmanager
def writing_to_shadows_only(group: str) -> Iterator[None]:
    """A transaction, or a part of the one under way, that can write to temporary tables only.

    Raises:
        InvalidRequest: the handlers of this group write something else.
    """
    try:
        with transaction.atomic():
            execute("SET LOCAL transaction_read_only = on")
            yield
    except (InternalError, ReadOnlyServer) as error:
        if isinstance(error.__cause__, errors.ReadOnlySqlTransaction):
            raise InvalidRequest(
                f"the handlers of {group} write more than its projection ({error}), so it cannot be rebuilt"
            ) from error
        raise


def execute(statement: str) -> None:
    """Run a statement without parameters."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
