"""Orders without end, what a group hears of them, and what lies in the topic in the end."""

import dataclasses
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from django.db import connection, transaction

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.models import InboxRow, OutboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope

STORY = ("order.created", "order.delivered", "order.cancelled")


@dataclasses.dataclass
class OrderStream:
    """Orders that state their three facts all the time, and what a group has heard of them."""

    orders: list[UUID] = dataclasses.field(default_factory=list)
    told: list[tuple[UUID, str]] = dataclasses.field(default_factory=list)
    longest_seconds: float = 0.0
    """That a transaction took which stated something: what a buyer would have waited."""

    def state(self, number: int = 10) -> None:
        """So many more orders, whole, in three transactions."""
        batch = [uuid4() for _ in range(number)]
        for make in (created, delivered, cancelled):
            began = time.monotonic()
            with transaction.atomic():
                outbox.publish(*(make(order_id) for order_id in batch))
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
        self.orders += batch

    def wait_until_heard(self, more: int = 100, *, timeout_seconds: float = 60) -> None:
        """Wait until so many more facts went all the way."""
        goal = len(self.told) + more
        testing.wait_until(
            lambda: len(self.told) >= goal, what="facts that go all the way", timeout_seconds=timeout_seconds
        )

    def drain(self) -> None:
        """Wait until all that was stated is heard; prints how long that took."""
        began = time.monotonic()
        testing.wait_until(lambda: outbox.backlog() == 0, what="an empty outbox", timeout_seconds=120)
        wanted = 3 * len(self.orders)
        testing.wait_until(
            lambda: InboxRow.objects.filter(group="notifications").count() >= wanted,
            what=f"{wanted} messages handled",
            timeout_seconds=120,
        )
        print(f"{wanted} facts; the last ones were heard {time.monotonic() - began:.1f} s after the end")

    def assert_each_once_and_in_sequence(self) -> None:
        """Every fact of every order, as stated."""
        heard = defaultdict(list)
        for order_id, kind in list(self.told):
            heard[order_id].append(kind)
        assert {order_id: tuple(kinds) for order_id, kinds in heard.items()} == dict.fromkeys(self.orders, STORY)


def start_order_stream(
    make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch
) -> tuple[registry.Group, OrderStream]:
    """A group in place of `notifications` that notes what it hears, once that is committed; and where it notes it."""
    monkeypatch.delitem(registry._groups, "notifications")
    group, sea = make_group("notifications"), OrderStream()

    def note(event: OrderEvent) -> None:
        transaction.on_commit(lambda: sea.told.append((event.order_id, event.TYPE)))

    for event in (catalogue.OrderCreated, catalogue.OrderDelivered, catalogue.OrderCancelled):
        group.on(event)(note)
    return group, sea


@contextmanager
def orders_coming_in(sea: OrderStream) -> Iterator[None]:
    """All the time, beside the test; an order that could not be stated fails it."""
    stop, failed = threading.Event(), list[BaseException]()

    def come_in() -> None:
        try:
            while not stop.is_set():
                sea.state()
                stop.wait(0.1)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=come_in)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert failed == []


def count_repeats() -> int:
    """Read the whole topic of the orders; how many of its messages are repeats.

    Asserts that it is what the outbox says: nothing is missing, of each key events come first in the sequence in which
    they were stated, and each repeat is one of a message further up, word for word.
    """
    stated: dict[str, list[str]] = defaultdict(list)
    places: dict[str, tuple[int, int]] = {}
    for row in OutboxRow.objects.order_by("id"):
        assert row.partition is not None and row.offset is not None, f"row {row.pk} has not left"
        stated[row.key].append(str(row.event_id))
        places[str(row.event_id)] = row.partition, row.offset
    first: dict[str, Message] = {}
    lies_at: dict[tuple[int, int], str] = {}
    found: dict[str, list[str]] = defaultdict(list)
    messages = read_all("orders.events")
    for message in messages:
        received = envelope.decode(message)
        event_id = str(received.id)
        lies_at[received.partition, received.offset] = event_id
        if event_id not in first:
            first[event_id] = message
            found[received.event.key].append(event_id)
        assert (message.key(), message.value(), message.headers()) == (
            first[event_id].key(), first[event_id].value(), first[event_id].headers(),
        )  # fmt: skip
    assert found == stated
    assert {event_id: lies_at[place] for event_id, place in places.items()} == {each: each for each in places}
    return len(messages) - len(first)


def read_all(topic: str, *, timeout_seconds: float = 60) -> list[Message]:
    """Everything that lies in a topic now, by partition and offset."""
    name = clients.topic_name(topic)
    reader = Consumer(
        clients.common() | {"group.id": uuid4().hex, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )
    found: list[Message] = []
    try:
        partitions = reader.list_topics(name, timeout=20).topics[name].partitions
        places = [TopicPartition(name, number, 0) for number in partitions]
        ends = {place.partition: reader.get_watermark_offsets(place, timeout=20)[1] for place in places}
        reader.assign(places)
        deadline = time.monotonic() + timeout_seconds
        while len(found) < sum(ends.values()):
            assert time.monotonic() < deadline, f"{len(found)} of {ends} could be read"
            found += [message for message in reader.consume(1000, 0.5) if message.error() is None]
    finally:
        reader.close()
    return sorted(found, key=lambda message: (message.partition(), message.offset()))
