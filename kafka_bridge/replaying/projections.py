"""A group's tables, rebuilt from the log beside those in use: what differs is shown, and can then be put right.

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

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from confluent_kafka import Message
from django.db import connection, transaction

from kafka_bridge.believing import refusals
from kafka_bridge.consuming import message_processing, registry
from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.consuming.registry import Group
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import outbox
from kafka_bridge.replaying import log_reader, offsets, shadow_tables
from kafka_bridge.replaying.offset_ranges import OffsetRange
from kafka_bridge.replaying.offsets import InvalidRequest, LogRange
from kafka_bridge.replaying.shadow_tables import RowDifference, execute
from kafka_bridge.runtime import clients
from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received

LOCK_SECONDS = 10
HELD_SECONDS = 10.0
"""How long the brokers may be silent while the tables are locked."""
_HEARD = "bridge_shadow_heard"


class Shadow:
    """One rebuild of one group's projection; see `shadow_of`. It has the thread's database session for itself."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.heard = self.lost = 0
        """Events of the group in the shadow, and those it has had that the log has no more."""
        self.holes: list[str] = []
        """In words, where the log does not begin at its beginning any more."""
        self._tables = [shadow_tables.table_of(model) for model in group.projected]

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
        with transaction.atomic():
            for table in self._tables:
                table.create()
            execute(f"CREATE TEMPORARY TABLE {_HEARD} (event_id uuid PRIMARY KEY)")
        return [OffsetRange(log_range=each, start=each.start, stop=each.end) for each in kept]

    def end(self) -> None:
        """Drop the namesakes."""
        for table in self._tables:
            table.drop()
        execute(f"DROP TABLE IF EXISTS pg_temp.{_HEARD}")

    def hear(self, messages: Sequence[Message]) -> None:
        """Add those of these messages that the group has had, once each.

        Raises:
            InvalidRequest: a handler wrote something else than the projection, so it is none.
            Exception: whatever a handler raised.
        """
        received = [each for each in map(_decoded, messages) if each and self.group.knows(type(each.event))]
        received = list(refusals.believed(self.group, received))
        with shadow_tables.writing_to_shadows_only(self.group.name):
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
            execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            self._catch_up()
            return self._compare()

    def apply(self) -> list[RowDifference]:
        """Replace what differs in the tables in use, in one transaction; returns what differed.

        Raises:
            InvalidRequest: the log has not everything any more.
            KafkaException: the brokers do not answer.
            OperationalError: another transaction holds the tables for longer than ten seconds.
        """
        with transaction.atomic(durable=True):
            execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            for table in self._tables:
                table.lock()
            self._catch_up()
            if not self.is_complete:
                raise InvalidRequest(self.why_incomplete())
            found = self._compare()
            for table in self._tables:
                table.replace()
        return found

    def why_incomplete(self) -> str:
        """What the log lacks, in words."""
        lost = f"{self.lost:,} events that {self.group.name} has had are in the log no more" if self.lost else ""
        return "; ".join(filter(None, [*self.holes, lost])) + ". What is rebuilt lacks them."

    def _catch_up(self) -> None:
        """Hear what the group has had by now and the shadow has not; what the log has no more is lost."""
        # First of all: what the group has after this moment may lie behind the ends that are asked for next.
        not_heard = self._not_heard()
        kept = {(each.topic, each.partition): each for each in self._kept()}
        wanted: dict[PartitionId, list[int]] = {}
        for _, partition, offset in not_heard:
            if partition in kept and kept[partition].start <= offset < kept[partition].end:
                wanted.setdefault(partition, []).append(offset)
        ranges = [
            OffsetRange(log_range=kept[partition], start=min(found), stop=max(found) + 1)
            for partition, found in wanted.items()
        ]
        for batch in log_reader.read_messages(ranges, silence_seconds=HELD_SECONDS):
            self.hear(batch)
        with connection.cursor() as cursor:
            ids = bulk_rows.uuids([event_id for event_id, *_ in not_heard])
            cursor.execute(f"INSERT INTO {_HEARD} SELECT * FROM unnest(%s::uuid[]) ON CONFLICT DO NOTHING", [ids])  # noqa: S608
            self.lost += cursor.rowcount

    def _not_heard(self) -> list[tuple[UUID, PartitionId, int]]:
        """Events that the group has had and the shadow has not, and where they lay."""
        prefix = clients.conf().topic_prefix
        with connection.cursor() as cursor:
            cursor.execute(_NOT_HEARD, [self.group.name])
            return [
                (event_id, (prefix + topic.removeprefix(prefix), partition), offset)
                for event_id, topic, partition, offset in cursor.fetchall()
            ]

    def _compare(self) -> list[RowDifference]:
        return [difference for table in self._tables for difference in table.differences()]

    def _kept(self) -> list[LogRange]:
        return [each for topic in self.group.topics for each in offsets.log_ranges(self.group, topic.name)]


@contextmanager
def shadow_of(group: Group) -> Iterator[Shadow]:
    """A shadow of the group's projection, gone on leaving.

    Raises:
        InvalidRequest: the group offers none.
    """
    if not group.projected:
        offering = ", ".join(each.name for each in registry.groups() if each.projected) or "none"
        raise InvalidRequest(
            f"{group.name} has no projection: what it does cannot be rebuilt from the log. Groups that have one: "
            f"{offering}. Without --shadow its events go through the inbox."
        )
    shadow = Shadow(group)
    try:
        yield shadow
    finally:
        shadow.end()


_NOT_HEARD = f"""
SELECT i.event_id, i.topic, i.partition, i."offset" FROM kafka_bridge_inboxrow i LEFT JOIN {_HEARD} h USING (event_id)
WHERE i."group" = %s AND h.event_id IS NULL
"""  # noqa: S608 - the name is a constant


def _as_handled(group: Group, messages: Sequence[Received]) -> list[Received]:
    """As the group handled them: a person may have discarded one that had failed, or edited it before it passed."""
    keys = {message.event.key for message in messages}
    letters = DeadLetter.objects.filter(group=group.name, key__in=keys, event_id__isnull=False)
    # One that could not be read says nothing about the event whose id it claims.
    touched = {letter.event_id: letter for letter in letters if letter.is_readable}
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
        return None  # no group has had it


def _claim(ids: set[UUID], one: UUID) -> bool:
    """Whether it is one of these; it is only once."""
    if one not in ids:
        return False
    ids.discard(one)
    return True
