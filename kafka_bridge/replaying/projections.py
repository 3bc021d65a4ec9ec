"""A group's tables, made anew from the log beside those in use: what differs is shown, and can then be put right.

# Note [A shadow]
The tables of a projection get namesakes among PostgreSQL's temporary tables, which come first in the search path of
this session. So the group's own handlers, unchanged, write to the namesakes. Their transactions are read-only, which
PostgreSQL applies to everything but temporary tables: a handler that does anything else is refused by the database.

# Note [The same events]
The tables in use hold the effects of exactly those events that the inbox says the group has had. The shadow takes the
same ones: an event of the log that the group has not had yet is left to the group. To compare, both are read in one
snapshot; to replace, the tables in use are locked against writers (not against readers) first, and what the group had
up to that moment is heard before. So the group may go on working, and the result is exact either way. A member of the
group that comes meanwhile waits for the lock, a moment, with its offsets uncommitted.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from confluent_kafka import Message
from django.db import InternalError, connection, transaction
from django.db.models import Model
from psycopg import errors

from kafka_bridge.consuming import message_processing, registry
from kafka_bridge.consuming.registry import Group
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import outbox
from kafka_bridge.replaying import offsets, replay
from kafka_bridge.replaying.offsets import InvalidRequest, LogRange
from kafka_bridge.replaying.replay import OffsetRange
from kafka_bridge.runtime import bulk_rows, clients
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received

LOCK_SECONDS = 10
HELD_SECONDS = 10.0
"""How long the brokers may be silent while the tables are locked."""
_HEARD = "bridge_shadow_heard"


@dataclass(frozen=True, slots=True)
class RowDifference:
    """A row that is not what the log says; None where there is no row."""

    table: str
    key: str
    in_use: dict[str, Any] | None
    anew: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Table:
    """A table in use, and its namesake; names are quoted."""

    name: str
    in_use: str
    anew: str
    key: tuple[str, ...]
    columns: tuple[str, ...]


class Shadow:
    """One rebuild of one group's projection; see `shadow_of`. It has the thread's database session for itself."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.heard = self.lost = 0
        """Events of the group in the shadow, and those it has had that the log has no more."""
        self.holes: list[str] = []
        """In words, where the log does not begin at its beginning any more."""
        self._tables = [_table(model) for model in group.projected]

    @property
    def is_complete(self) -> bool:
        """Whether the log still has everything that the tables in use were made of."""
        return not (self.lost or self.holes)

    # -- Filling ------------------------------------------------------------------------------------------
    def begin(self) -> list[OffsetRange]:
        """Make the empty namesakes. Returns all that the log has for the group; `hear` shall get it.

        Raises:
            KafkaException: the brokers do not answer.
        """
        kept = self._kept()
        self.holes = [f"{each}: retention has deleted what was before {each.start}" for each in kept if each.start]
        with transaction.atomic(), connection.cursor() as cursor:
            for table in self._tables:
                cursor.execute(f"CREATE TEMPORARY TABLE {table.anew} (LIKE {table.in_use} INCLUDING ALL)")
            cursor.execute(f"CREATE TEMPORARY TABLE {_HEARD} (event_id uuid PRIMARY KEY)")
        return [OffsetRange(kept=each, start=each.start, stop=each.end) for each in kept]

    def end(self) -> None:
        """Drop the namesakes."""
        with connection.cursor() as cursor:
            for name in (*(table.anew for table in self._tables), f"pg_temp.{_HEARD}"):
                cursor.execute(f"DROP TABLE IF EXISTS {name}")

    def hear(self, messages: Sequence[Message]) -> None:
        """Add those of these messages that the group has had, once each.

        Raises:
            NotPossible: a handler wrote something else than the projection, so it is none.
            Exception: whatever a handler raised.
        """
        received = [each for each in map(_decoded, messages) if each and self.group.knows(type(each.event))]
        with _read_only(self.group):
            to_hear = self._to_hear([each.id for each in received])
            fresh = [each for each in received if _claim(to_hear, each.id)]
            for handler, calls in message_processing.waves(self.group, _as_handled(self.group, fresh)):
                with outbox.collect({message.event.key: message for message in calls}):
                    handler.call(calls)
            self.heard += self._remember([each.id for each in fresh])

    def _to_hear(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those that the group has had, and the shadow has not."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT i.event_id FROM kafka_bridge_inboxrow i LEFT JOIN {_HEARD} h USING (event_id)
                WHERE i."group" = %s AND i.event_id = ANY (%s::uuid[]) AND h.event_id IS NULL
                """,  # noqa: S608 - the name is a constant
                [self.group.name, bulk_rows.uuids(ids)],
            )
            return {row[0] for row in cursor.fetchall()}

    def _remember(self, ids: Sequence[UUID]) -> int:
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {_HEARD} SELECT * FROM unnest(%s::uuid[])", [bulk_rows.uuids(ids)])  # noqa: S608
        return len(ids)

    # -- Comparing and replacing --------------------------------------------------------------------------
    def differences(self) -> list[RowDifference]:
        """How the tables in use differ from the log, at one moment.

        Raises:
            KafkaException: the brokers do not answer.
        """
        with transaction.atomic(durable=True):
            _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._catch_up()
            return self._compare()

    def apply(self) -> list[RowDifference]:
        """Replace what differs in the tables in use, in one transaction; returns what differed.

        Raises:
            NotPossible: the log has not everything any more.
            KafkaException: the brokers do not answer.
            OperationalError: somebody holds the tables for longer than ten seconds.
        """
        with transaction.atomic(durable=True):
            _execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            for table in self._tables:
                _execute(f"LOCK TABLE {table.in_use} IN SHARE ROW EXCLUSIVE MODE")
            self._catch_up()
            if not self.is_complete:
                raise InvalidRequest(self.why_incomplete())
            found = self._compare()
            for table in self._tables:
                _execute(_DELETE.format(**_parts(table)))
                _execute(_INSERT.format(**_parts(table)))
        return found

    def why_incomplete(self) -> str:
        """What the log lacks, in words."""
        lost = f"{self.lost:,} events that {self.group.name} has had are in the log no more" if self.lost else ""
        return "; ".join(filter(None, [*self.holes, lost])) + ". What is made anew lacks them."

    def _catch_up(self) -> None:
        """Hear what the group has had by now and the shadow has not; what the log has no more is lost."""
        kept = {(each.topic, each.partition): each for each in self._kept()}
        wanted: dict[replay.Place, list[int]] = {}
        for place, offset in self._not_heard():
            if place in kept and kept[place].start <= offset < kept[place].end:
                wanted.setdefault(place, []).append(offset)
        stretches = [OffsetRange(kept=kept[p], start=min(found), stop=max(found) + 1) for p, found in wanted.items()]
        for batch in replay.read(stretches, silence_seconds=HELD_SECONDS):
            self.hear(batch)
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {_HEARD} {_NOT_HEARD.format('i.event_id')}", [self.group.name])
            self.lost += cursor.rowcount

    def _not_heard(self) -> list[tuple[replay.Place, int]]:
        prefix = clients.conf().topic_prefix
        with connection.cursor() as cursor:
            cursor.execute(_NOT_HEARD.format('i.topic, i.partition, i."offset"'), [self.group.name])
            return [((prefix + row[0].removeprefix(prefix), row[1]), row[2]) for row in cursor.fetchall()]

    def _compare(self) -> list[RowDifference]:
        found = []
        for table in self._tables:
            with connection.cursor() as cursor:
                cursor.execute(_COMPARE.format(**_parts(table)))
                for in_use, anew in cursor.fetchall():
                    row = json.loads(in_use or anew)
                    key = ", ".join(str(row[name]) for name in table.key)
                    found.append(
                        RowDifference(table.name, key, json.loads(in_use or "null"), json.loads(anew or "null"))
                    )
        return found

    def _kept(self) -> list[LogRange]:
        return [each for topic in self.group.topics for each in offsets.log_ranges(self.group, topic.name)]


@contextmanager
def shadow_of(group: Group) -> Iterator[Shadow]:
    """A shadow of the group's projection, gone on leaving.

    Raises:
        NotPossible: the group offers none.
    """
    if not group.projected:
        offering = ", ".join(each.name for each in registry.groups() if each.projected) or "none"
        raise InvalidRequest(
            f"{group.name} has no projection: what it does cannot be made anew from the log. Groups that have one: "
            f"{offering}. Without --shadow its events go through the inbox."
        )
    shadow = Shadow(group)
    try:
        yield shadow
    finally:
        shadow.end()


_NOT_HEARD = f"""
SELECT {{}} FROM kafka_bridge_inboxrow i LEFT JOIN {_HEARD} h USING (event_id)
WHERE i."group" = %s AND h.event_id IS NULL
"""  # noqa: S608 - the name is a constant
_COMPARE = """
SELECT row_to_json(u)::text, row_to_json(a)::text
FROM {in_use} u FULL JOIN {anew} a USING ({key})
WHERE ROW({u_columns}) IS DISTINCT FROM ROW({a_columns})
ORDER BY {key}
"""
_DELETE = """
DELETE FROM {in_use} u WHERE NOT EXISTS (
    SELECT FROM {anew} a WHERE ROW({u_columns}) IS NOT DISTINCT FROM ROW({a_columns})
)
"""
_INSERT = "INSERT INTO {in_use} ({columns}) SELECT {columns} FROM {anew} ON CONFLICT DO NOTHING"


def _parts(table: _Table) -> dict[str, str]:
    quoted = [connection.ops.quote_name(name) for name in table.columns]
    return {
        "in_use": table.in_use,
        "anew": table.anew,
        "key": ", ".join(connection.ops.quote_name(name) for name in table.key),
        "columns": ", ".join(quoted),
        "u_columns": ", ".join(f"u.{name}" for name in quoted),
        "a_columns": ", ".join(f"a.{name}" for name in quoted),
    }


def _table(model: type[Model]) -> _Table:
    """Raises ProgrammingError where the table does not exist."""
    meta = model._meta
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s::regclass",
            [meta.db_table],
        )
        [schema] = cursor.fetchone()
    name = connection.ops.quote_name(meta.db_table)
    return _Table(
        name=meta.db_table,
        in_use=f"{connection.ops.quote_name(schema)}.{name}",
        anew=f"pg_temp.{name}",
        key=tuple(str(field.column) for field in meta.pk_fields),
        columns=tuple(str(field.column) for field in meta.concrete_fields if not field.generated),
    )


@contextmanager
def _read_only(group: Group) -> Iterator[None]:
    """A transaction, or a part of the one under way, that can write to temporary tables only."""
    try:
        with transaction.atomic():
            _execute("SET LOCAL transaction_read_only = on")
            yield
    except InternalError as error:
        if isinstance(error.__cause__, errors.ReadOnlySqlTransaction):
            raise InvalidRequest(
                f"the handlers of {group.name} write more than its projection ({error}), so it cannot be made anew"
            ) from error
        raise


def _as_handled(group: Group, messages: Sequence[Received]) -> list[Received]:
    """As the group handled them: somebody may have discarded one that had failed, or edited it before it passed."""
    keys = {message.event.key for message in messages}
    letters = DeadLetter.objects.filter(group=group.name, key__in=keys, event_id__isnull=False)
    touched = {letter.event_id: letter for letter in letters}
    handled = []
    for message in messages:
        letter = touched.get(message.id)
        if letter is None:
            handled.append(message)
        elif letter.state != DeadLetter.State.DISCARDED:
            edited = letter.edited_value
            event = message.event if edited is None else envelope.decode_body(type(message.event), bytes(edited))
            handled.append(replace(message, event=event))
    return handled


def _decoded(message: Message) -> Received | None:
    try:
        return envelope.decode(message)
    except envelope.Malformed:
        return None  # nobody has had it


def _claim(ids: set[UUID], one: UUID) -> bool:
    """Whether it is one of these; it is only once."""
    if one not in ids:
        return False
    ids.discard(one)
    return True


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
