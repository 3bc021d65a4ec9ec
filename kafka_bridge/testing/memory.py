"""A broker in memory for tests: the same envelope, inbox and transactions as on Kafka, without the waiting.

It keeps what Kafka keeps (the order of a key within a topic, each group hears all) and permutes what Kafka does not:
the order across topics and groups, how batches are cut, and how often something is delivered.
"""

import random
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from kafka_bridge.consuming import message_processing, registry
from kafka_bridge.models import InboxRow, OutboxRow, ParkedMessage
from kafka_bridge.retrying import parking, waiting_heads
from kafka_bridge.runtime import waiting
from kafka_bridge.wire import envelope, event_types
from kafka_bridge.wire.events import Event

Place = tuple[str, int]
_GIVEN = "given by a test"


@dataclass(frozen=True)
class MemoryMessage:
    """As much of `confluent_kafka.Message` as the bridge reads."""

    at: tuple[str, int, int]
    headers_: envelope.Headers
    key_: bytes
    value_: bytes

    def topic(self) -> str:
        """The topic's name."""
        return self.at[0]

    def partition(self) -> int:
        """The partition's number."""
        return self.at[1]

    def offset(self) -> int:
        """The place within the partition."""
        return self.at[2]

    def key(self) -> bytes:
        """The event's key."""
        return self.key_

    def value(self) -> bytes:
        """The body."""
        return self.value_

    def headers(self) -> envelope.Headers:
        """The CloudEvents attributes."""
        return self.headers_

    def timestamp(self) -> tuple[int, int]:
        """None: nothing here asks for it."""
        return 0, -1


@dataclass
class MemoryBroker:
    """Topics in memory, and every registered group (or those named) consuming them.

    `duplicates` delivers each batch again at some later moment; `seed` permutes what Kafka does not order.
    """

    groups: Iterable[str] | None = None
    duplicates: bool = False
    seed: int | None = None
    partitions: int = 3
    logs: dict[Place, list[MemoryMessage]] = field(default_factory=lambda: defaultdict(list))
    positions: dict[tuple[str, Place], int] = field(default_factory=lambda: defaultdict(int))
    delivered: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - to be repeatable, not secret
        names = set(self.groups) if self.groups is not None else {g.name for g in registry.groups()}
        self._groups = [group for group in registry.groups() if group.name in names]
        self._again: list[tuple[registry.Group, list[MemoryMessage]]] = []

    def relay(self) -> int:
        """Bring the outbox's rows into the topics, as the relay does."""
        rows = list(OutboxRow.objects.filter(published_at=None).order_by("id"))
        for row in rows:
            self._append(row)
        return len(rows)

    def drain(self, *, timeout_seconds: float = 30) -> int:
        """Relay, deliver and let workers work until nothing is left. Returns the number of deliveries.

        Raises:
            TimeoutError: it did not come to rest; the message says what was still there.
        """
        before, deadline = self.delivered, time.monotonic() + timeout_seconds
        while self.relay() or self._deliver_one() or self._work() or self._work_off():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not at rest after {timeout_seconds} s; positions: {dict(self.positions)}")
        return self.delivered - before

    def advance(self, deliveries: int) -> None:
        """Only so many steps of what `drain` does, to stop somewhere in the middle of a story."""
        for _ in range(deliveries):
            self.relay()
            self._deliver_one()
            self._work()

    def _append(self, row: OutboxRow) -> None:
        place = row.topic, zlib.crc32(row.key.encode()) % self.partitions
        message = MemoryMessage(
            (*place, len(self.logs[place])),
            envelope.headers(
                event_id=row.event_id,
                event_type=row.type,
                version=row.version,
                source=event_types.owner_of(row.topic),
                subject=row.key,
                time=row.created_at,
                correlation_id=row.correlation_id,
                causation_id=row.causation_id,
                traceparent=row.traceparent,
            ),
            row.key.encode(),
            bytes(row.body),
        )
        self.logs[place].append(message)
        with connection.cursor() as cursor:
            cursor.execute(
                'UPDATE kafka_bridge_outboxrow SET published_at = now(), partition = %s, "offset" = %s WHERE id = %s',
                [message.partition(), message.offset(), row.pk],
            )

    def _deliver_one(self) -> bool:
        """Give one group one batch: new messages of one partition, or some that it has had already."""
        waiting = [
            (group, place)
            for group in self._groups
            for place in sorted(self.logs)
            if self.positions[group.name, place] < len(self.logs[place]) and _subscribes(group, place[0])
        ]
        if self._again and (not waiting or self._random.random() < 0.3):
            group, batch = self._again.pop(self._random.randrange(len(self._again)))
        elif waiting:
            group, place = self._random.choice(waiting) if self.seed is not None else waiting[0]
            batch = self._cut(group, place)
            if self.duplicates:
                self._again.append((group, batch))
        else:
            return False
        message_processing.handle(group, [envelope.decode(message) for message in batch])
        self.delivered += len(batch)
        return True

    def _cut(self, group: registry.Group, place: Place) -> list[MemoryMessage]:
        start = self.positions[group.name, place]
        ready = self.logs[place][start:]
        size = self._random.randint(1, len(ready)) if self.seed is not None else len(ready)
        self.positions[group.name, place] = start + size
        return ready[:size]

    def _work(self) -> bool:
        done = [work() for group in self._groups for work in group.workers]
        return any(done)

    def _work_off(self) -> bool:
        """Go on with what is parked and due, as a group's retry consumer does. What a handler raises is not caught:
        this broker parks nothing by itself.
        """
        if not ParkedMessage.objects.exists():
            return False
        due = [
            (group, key)
            for group in self._groups
            for key in waiting_heads.find_all_ready(group=group.name, overdue_seconds=0)
        ]
        done = [
            message_processing.handle_head(group, key, _is_not_dead, message_processing.Attempt()) for group, key in due
        ]
        return any(done)


def _is_not_dead(head: parking.Head) -> bool:
    return head.state != parking.State.DEAD


def _subscribes(group: registry.Group, topic: str) -> bool:
    return topic in {heard.name for heard in group.topics}


def stated(*types: type[Event]) -> list[Event]:
    """The events in the outbox, oldest first; of these types, or all. Not what a test itself has given."""
    rows = OutboxRow.objects.exclude(traceparent=_GIVEN).order_by("id")
    events = [envelope.decode_body(_type_of(row), bytes(row.body)) for row in rows]
    return [event for event in events if not types or isinstance(event, types)]


def _type_of(row: OutboxRow) -> type[Event]:
    event_type = event_types.find(row.type, row.version)
    if event_type is None:
        raise LookupError(f"no event {row.type!r} version {row.version} is registered")
    return event_type


def give(group: str, *events: Event, topic_offset: int = 0) -> int:
    """State these events, as who owns their topics does, and hand them to a group alone, as fresh messages in one
    batch; returns how many were new to it.
    """
    received = _as_messages(events, topic_offset)
    record([message for message in received if not _is_stated(message)])
    return message_processing.handle(registry.find(group), received).new


def record(messages: Sequence[envelope.Received]) -> None:
    """Note in the outbox that these were stated, and are in Kafka already; `stated` does not tell them."""
    OutboxRow.objects.bulk_create(map(_given, messages), batch_size=2000)


def forge(group: str, *events: Event, topic_offset: int = 0) -> int:
    """Hand messages to a group that nobody stated, as somebody with write access to the topic can; returns how many
    it took.
    """
    return message_processing.handle(registry.find(group), _as_messages(events, topic_offset)).new


def _as_messages(events: Sequence[Event], topic_offset: int) -> list[envelope.Received]:
    return [
        envelope.Received(
            event=event,
            id=_stable_id(event, topic_offset + number),
            correlation_id=event.correlation_id,
            topic=event.TOPIC.name,
            partition=0,
            offset=topic_offset + number,
        )
        for number, event in enumerate(events)
    ]


def _is_stated(message: envelope.Received) -> bool:
    return OutboxRow.objects.filter(key=message.event.key, event_id=message.id).exists()


def _given(message: envelope.Received) -> OutboxRow:
    """Its row; in Kafka as far as the relay is concerned."""
    event = message.event
    return OutboxRow(
        event_id=message.id,
        topic=event.TOPIC.name,
        key=event.key,
        type=event.TYPE,
        version=event.VERSION,
        correlation_id=message.correlation_id,
        traceparent=_GIVEN,
        body=envelope.encode_body(event),
        published_at=message.time,
    )


def _stable_id(event: Event, number: int) -> UUID:
    return UUID(int=(event.correlation_id.int ^ (zlib.crc32(f"{event.TYPE} {number}".encode()))))


def had_by(group: str) -> int:
    """How many events the group has handled."""
    return InboxRow.objects.filter(group=group).count()


def wait_until(condition: Any, *, what: str, timeout_seconds: float = 60, every_seconds: float = 0.05) -> None:
    """`waiting.until`, with the deadline that most tests want.

    Raises:
        TimeoutError: it did not come true; the message says what was waited for.
    """
    waiting.until(condition, what=what, timeout_seconds=timeout_seconds, every_seconds=every_seconds)
