"""Compares the outbox with the event log in Kafka, order by order."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

from confluent_kafka import Consumer, Message, TopicPartition

from devtools.testing.processes import Shop
from events import catalogue
from kafka_bridge.wire import envelope

_ANSWER_SECONDS = 20.0
_READ_SECONDS = 300.0
# The web process publishes it for every webhook, at any time, while payments may be publishing as well: of two
# concurrent transactions the one with the lower row id may commit later. So its position means nothing.
_UNORDERED = frozenset({catalogue.PaymentNotified.TYPE})
LogPosition = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outbox rows of some orders, compared with the log."""

    events: int
    repeats: int
    """Events that are in the log again; the inbox of a group drops the second one."""
    missing: Sequence[str]
    out_of_order: Sequence[str]

    @property
    def problems(self) -> list[str]:
        """The differences, in words."""
        return [
            *(f"an event of the outbox is not in Kafka: {what}" for what in self.missing[:3]),
            *(f"out of order: {what}" for what in self.out_of_order[:3]),
        ]


def compare(shop: Shop, orders: Sequence[str]) -> Comparison:
    """Read the topics from the beginning, and compare them with the outbox, which has the right sequence.

    Raises:
        KafkaException: the brokers do not answer.
        TimeoutError: they take too long.
    """
    rows = shop.query(
        "SELECT event_id::text, topic, key, type FROM kafka_bridge_outboxrow WHERE key = ANY(%s) ORDER BY id",
        list(orders),
    )
    firsts, repeats = _first_positions(shop, sorted({topic for _, topic, _, _ in rows}), set(orders))
    by_key: dict[tuple[str, str], list[tuple[str, LogPosition | None]]] = defaultdict(list)
    for event_id, topic, key, kind in rows:
        by_key[topic, key].append((kind, firsts.get((topic, event_id))))
    missing = [f"{kind} of {key}" for (_, key), found in by_key.items() for kind, position in found if position is None]
    out_of_order = [
        f"{topic} of {key}: {found}"
        for (topic, key), found in by_key.items()
        if not _ascends([position for kind, position in found if position is not None and kind not in _UNORDERED])
    ]
    return Comparison(events=len(rows), repeats=repeats, missing=missing, out_of_order=out_of_order)


def dead_letters(shop: Shop) -> int:
    """The number of messages in dead letter topics.

    Raises:
        KafkaException: the brokers do not answer.
    """
    with _reader(shop) as consumer:
        prefix = shop.environment["KAFKA_TOPIC_PREFIX"]
        present = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
        topics = [name for name in present if name.startswith(prefix) and name.endswith(".dlq")]
        return sum(end - start for topic in topics for _, start, end in _kept(consumer, topic))


def _first_positions(
    shop: Shop, topics: Sequence[str], orders: set[str]
) -> tuple[dict[tuple[str, str], LogPosition], int]:
    """The first position of each event of these orders, by topic and event id; and the number of repeats."""
    firsts: dict[tuple[str, str], LogPosition] = {}
    repeats, prefix = 0, shop.environment["KAFKA_TOPIC_PREFIX"]
    with _reader(shop) as consumer:
        for message in _messages(consumer, [prefix + topic for topic in topics]):
            key = (message.key() or b"").decode(errors="replace")
            if key not in orders:
                continue
            event_id = envelope.decode(message).id
            position = str(message.topic()).removeprefix(prefix), str(event_id)
            if position in firsts:
                repeats += 1
            else:
                firsts[position] = message.partition() or 0, message.offset() or 0
    return firsts, repeats


def _messages(consumer: Consumer, topics: Sequence[str]) -> Iterator[Message]:
    """All messages up to now, each partition in its order."""
    kept = [(topic, *edges) for topic in topics for edges in _kept(consumer, topic)]
    left = {(topic, partition): end for topic, partition, start, end in kept if start < end}
    consumer.assign([TopicPartition(topic, partition, start) for topic, partition, start, end in kept if start < end])
    deadline = time.monotonic() + _READ_SECONDS
    while left:
        for message in consumer.consume(1000, timeout=1):
            if message.error() is not None:
                continue  # the client recovers by itself
            yield message
            position = str(message.topic()), message.partition() or 0
            if (message.offset() or 0) + 1 >= left.get(position, 0):
                left.pop(position, None)
        if time.monotonic() > deadline:
            raise TimeoutError(f"reading the topics took longer than {_READ_SECONDS:g} s")


def _kept(consumer: Consumer, topic: str) -> list[tuple[int, int, int]]:
    """Partition, first offset, end."""
    partitions = consumer.list_topics(topic, timeout=_ANSWER_SECONDS).topics[topic].partitions
    found = []
    for number in sorted(partitions):
        start, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_SECONDS)
        found.append((number, start, end))
    return found


@contextmanager
def _reader(shop: Shop) -> Iterator[Consumer]:
    """A consumer that reads without joining a group."""
    consumer = Consumer(
        {
            "bootstrap.servers": shop.environment["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": "drill",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _ascends(positions: Sequence[LogPosition]) -> bool:
    """Whether all are in one partition, in ascending order."""
    return len({partition for partition, _ in positions}) <= 1 and all(a < b for a, b in pairwise(positions))
