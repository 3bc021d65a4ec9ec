"""Messages put into a topic by hand, and commands as people see them."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import Any, cast
from uuid import UUID

from confluent_kafka import Consumer, Message, TopicPartition
from django.core.management import CommandError, call_command
from uuid_utils.compat import uuid7

from kafka_bridge import testing
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope
from kafka_bridge.wire.events import Event


def put(*events: Event, partition: int = 0, at: datetime | None = None) -> list[UUID]:
    """Produce these events, stated and written at that moment (or now); returns their ids."""
    time = at or datetime.now(UTC)
    return put_all([(event, partition, time) for event in events])


Placed = tuple[Event, int, datetime]
"""An event, the partition that it goes to, and the moment at which it is stated and written."""


def put_all(events: Sequence[Placed]) -> list[UUID]:
    """Produce events that were stated; returns their ids."""
    ids = record_all(events)
    produce_all(events, ids)
    return ids


def record_all(events: Sequence[Placed]) -> list[UUID]:
    """Note in the outbox that they were stated; returns their ids."""
    ids = [uuid7() for _ in events]
    testing.record(
        [
            envelope.Received(
                event=event,
                id=event_id,
                correlation_id=event.correlation_id,
                topic=event.TOPIC.name,
                partition=partition,
                offset=0,
                time=time,
            )
            for event_id, (event, partition, time) in zip(ids, events, strict=True)
        ]
    )
    return ids


def produce_all(events: Sequence[Placed], ids: Sequence[UUID]) -> None:
    """Write them to their topics, whether they were stated or not."""
    producer = clients.producer(linger_ms=0)
    for event_id, (event, partition, time) in zip(ids, events, strict=True):
        producer.produce(
            clients.topic_name(event.TOPIC.name),
            key=event.key.encode(),
            value=envelope.encode_body(event),
            partition=partition,
            timestamp=int(time.timestamp() * 1000),
            headers=headers(event, event_id, time),
        )
    assert producer.flush(20) == 0


def headers(event: Event, event_id: UUID, time: datetime) -> Any:
    """Those of an event that its owner stated at that moment."""
    return envelope.headers(
        event_id=event_id,
        event_type=event.TYPE,
        version=event.VERSION,
        source=event.TOPIC.owner,
        subject=event.key,
        time=time,
        correlation_id=event.correlation_id,
        causation_id=None,
        traceparent=outbox.traceparent(event.correlation_id, event_id),
    )


def forget(topic: str, partition: int, before: int) -> None:
    """What retention does."""
    place = TopicPartition(clients.topic_name(topic), partition, before)
    admin = clients.admin()
    [future] = admin.delete_records([place]).values()
    future.result(20)


@contextmanager
def member(group: str, topic: str) -> Iterator[Consumer]:
    """A consumer that is a member of the group, with all partitions of the topic."""
    consumer = clients.consumer(group=group)
    assigned: list[TopicPartition] = []

    def take(reader: Consumer, partitions: Sequence[TopicPartition]) -> None:
        reader.incremental_assign(list(partitions))
        assigned.extend(partitions)
        reader.pause(list(partitions))

    consumer.subscribe([clients.topic_name(topic)], on_assign=take)
    try:
        testing.wait_until(lambda: consumer.poll(0.1) or len(assigned) == 3, what="all partitions")
        yield consumer
    finally:
        consumer.close()


def said(*arguments: str) -> tuple[int, str]:
    """Exit code of a command, and all that it prints."""
    out, before = StringIO(), {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0, out.getvalue()


def told(*arguments: str) -> dict[str, Any]:
    """What a command prints with --json, whatever its exit code."""
    _, text = said(*arguments, "--json")
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return found


def headers_of(message: Message) -> dict[str, bytes]:
    """A message's headers by name."""
    return dict(cast(list[tuple[str, bytes]], message.headers()))


def leader_of(partition: int = 0) -> int:
    """The broker that leads a partition of the orders' topic."""
    found = clients.admin().list_topics(timeout=20).topics[clients.topic_name("orders.events")]
    return int(found.partitions[partition].leader)
