"""What became of orders' events: the outbox against what lies in Kafka, order by order."""

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
# Said by the web process for every webhook, whenever one comes, and beside whatever payments is just stating: of two
# transactions that go on at the same time, the one with the lower row number may well be the later one.
_WITHOUT_A_PLACE = frozenset({catalogue.PaymentNotified.TYPE})
Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The outbox rows of some orders, and where their events lie."""

    events: int
    repeats: int
    """Events that lie there once more; whoever hears them swallows the second one."""
    missing: Sequence[str]
    out_of_order: Sequence[str]

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words."""
        return [
            *(f"an event of the outbox is not in Kafka: {what}" for what in self.missing[:3]),
            *(f"out of order: {what}" for what in self.out_of_order[:3]),
        ]


def compare(shop: Shop, orders: Sequence[str]) -> Comparison:
    """Read all that lies in the topics, and compare it with the outbox, which is the sequence that is right.

    Raises:
        KafkaException: the brokers do not answer.
        TimeoutError: they take too long.
    """
    rows = shop.query(
        "SELECT event_id::text, topic, key, type FROM kafka_bridge_outboxrow WHERE key = ANY(%s) ORDER BY id",
        list(orders),
    )
    firsts, repeats = _lies(shop, sorted({topic for _, topic, _, _ in rows}), set(orders))
    by_key: dict[tuple[str, str], list[tuple[str, Place | None]]] = defaultdict(list)
    for event_id, topic, key, kind in rows:
        by_key[topic, key].append((kind, firsts.get((topic, event_id))))
    missing = [f"{kind} of {key}" for (_, key), found in by_key.items() for kind, place in found if place is None]
    out_of_order = [
        f"{topic} of {key}: {found}"
        for (topic, key), found in by_key.items()
        if not _ascends([place for kind, place in found if place is not None and kind not in _WITHOUT_A_PLACE])
    ]
    return Comparison(events=len(rows), repeats=repeats, missing=missing, out_of_order=out_of_order)


def dead_letters(shop: Shop) -> int:
    """How many messages lie in dead letter topics.

    Raises:
        KafkaException: the brokers do not answer.
    """
    with _reader(shop) as consumer:
        prefix = shop.environment["KAFKA_TOPIC_PREFIX"]
        present = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
        topics = [name for name in present if name.startswith(prefix) and name.endswith(".dlq")]
        return sum(end - start for topic in topics for _, start, end in _kept(consumer, topic))


def _lies(shop: Shop, topics: Sequence[str], orders: set[str]) -> tuple[dict[tuple[str, str], Place], int]:
    """Where each event of these orders lies first, by topic and event id; and how many lie there once more."""
    firsts: dict[tuple[str, str], Place] = {}
    repeats, prefix = 0, shop.environment["KAFKA_TOPIC_PREFIX"]
    with _reader(shop) as consumer:
        for message in _messages(consumer, [prefix + topic for topic in topics]):
            key = (message.key() or b"").decode(errors="replace")
            if key not in orders:
                continue
            event_id = envelope.decode(message).id
            place = str(message.topic()).removeprefix(prefix), str(event_id)
            if place in firsts:
                repeats += 1
            else:
                firsts[place] = message.partition() or 0, message.offset() or 0
    return firsts, repeats


def _messages(consumer: Consumer, topics: Sequence[str]) -> Iterator[Message]:
    """All that is there now, partition by partition in their order."""
    kept = [(topic, *edges) for topic in topics for edges in _kept(consumer, topic)]
    left = {(topic, partition): end for topic, partition, start, end in kept if start < end}
    consumer.assign([TopicPartition(topic, partition, start) for topic, partition, start, end in kept if start < end])
    deadline = time.monotonic() + _READ_SECONDS
    while left:
        for message in consumer.consume(1000, timeout=1):
            if message.error() is not None:
                continue  # the client goes on by itself
            yield message
            place = str(message.topic()), message.partition() or 0
            if (message.offset() or 0) + 1 >= left.get(place, 0):
                left.pop(place, None)
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
    """A client that reads without being a member of any group."""
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


def _ascends(places: Sequence[Place]) -> bool:
    """Whether all lie in one partition, each behind the one before."""
    return len({partition for partition, _ in places}) <= 1 and all(a < b for a, b in pairwise(places))
