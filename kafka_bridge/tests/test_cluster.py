"""Three real brokers, killed under a relay and a consumer: nothing that was stated is lost, doubled or out of order."""

import dataclasses
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from kafka_bridge import catalogue, clients, outbox, registry, testing, topics
from kafka_bridge.events import OrderEvent
from kafka_bridge.models import InboxRow
from kafka_bridge.tests.events import cancelled, created, delivered
from kafka_bridge.tests.members import running
from kafka_bridge.tests.test_relay import running_relay

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.kafka, pytest.mark.faults, pytest.mark.slow]
STORY = ("order.created", "order.delivered", "order.cancelled")


@dataclasses.dataclass
class Sea:
    """Orders that state their three facts all the time, and what a group has heard of them."""

    orders: list[UUID] = dataclasses.field(default_factory=list)
    told: list[tuple[UUID, str]] = dataclasses.field(default_factory=list)
    longest_seconds: float = 0.0
    """That a transaction took which stated something: what a buyer would have waited."""

    def state(self) -> None:
        """Ten more orders, whole, in three transactions."""
        batch = [uuid4() for _ in range(10)]
        for make in (created, delivered, cancelled):
            began = time.monotonic()
            with transaction.atomic():
                outbox.publish(*(make(order_id) for order_id in batch))
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
        self.orders += batch

    def wait_until_heard(self, more: int = 100) -> None:
        """Wait until so many more facts went all the way."""
        goal = len(self.told) + more
        testing.wait_until(lambda: len(self.told) >= goal, what="facts that go all the way", timeout_seconds=60)

    def drain(self) -> float:
        """Wait until all that was stated is heard; returns how long that took, in seconds."""
        began = time.monotonic()
        testing.wait_until(lambda: outbox.backlog() == 0, what="an empty outbox", timeout_seconds=120)
        wanted = 3 * len(self.orders)
        testing.wait_until(
            lambda: InboxRow.objects.filter(group="notifications").count() >= wanted,
            what=f"{wanted} messages handled",
            timeout_seconds=120,
        )
        return time.monotonic() - began

    def assert_each_once_and_in_sequence(self) -> None:
        """Every fact of every order, as stated."""
        heard = defaultdict(list)
        for order_id, kind in list(self.told):
            heard[order_id].append(kind)
        assert {order_id: tuple(kinds) for order_id, kinds in heard.items()} == dict.fromkeys(self.orders, STORY)


@pytest.fixture
def brokers(kafka_cluster: Any, settings: Any) -> Any:
    """Three brokers with topics of which two must have a copy before a fact counts as written."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        bootstrap_servers=kafka_cluster.bootstrap_servers,
        topic_prefix="",
        group_prefix="",
        group_protocol="consumer",
        replication_factor=3,
        min_insync_replicas=2,
    )
    topics.apply(topics.plan())
    return kafka_cluster


@pytest.fixture
def sea(brokers: Any, make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sea]:
    """A relay, a member of a group, and orders without end."""
    monkeypatch.delitem(registry._groups, "notifications")
    group, sea = make_group("notifications"), Sea()

    def note(event: OrderEvent) -> None:
        transaction.on_commit(lambda: sea.told.append((event.order_id, event.TYPE)))

    for event in (catalogue.OrderCreated, catalogue.OrderDelivered, catalogue.OrderCancelled):
        group.on(event)(note)
    with running_relay(), running(group):
        yield sea


@contextmanager
def orders_coming_in(sea: Sea) -> Iterator[None]:
    """All the time, beside the test; an order that could not be stated fails it."""
    stop, failed = threading.Event(), list[BaseException]()

    def come_in() -> None:
        try:
            while not stop.is_set():
                sea.state()
                stop.wait(0.05)
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


def leader_of(partition: int = 0) -> int:
    """The broker that leads a partition of the orders' topic."""
    found = clients.admin().list_topics(timeout=20).topics[clients.topic_name("orders.events")]
    return int(found.partitions[partition].leader)


def test_each_broker_killed_in_turn_and_then_two_at_once(sea: Sea, brokers: Any) -> None:
    """FAILURES 19 and 20: with one broker gone work goes on; with two it waits, and nobody who orders notices."""
    with orders_coming_in(sea):
        sea.wait_until_heard()
        for broker in brokers.brokers:
            brokers.kill(broker)
            sea.wait_until_heard()
            brokers.start(broker)
        brokers.kill(1, 2)
        before = len(sea.orders)
        testing.wait_until(lambda: len(sea.orders) >= before + 100, what="orders without a majority of brokers")
        brokers.start(1, 2)
        sea.wait_until_heard()
    print(f"drained within {sea.drain():.1f} s")
    sea.assert_each_once_and_in_sequence()
    assert sea.longest_seconds < 5, "whoever orders must not wait for Kafka"


def test_the_leader_killed_again_and_again(sea: Sea, brokers: Any, request: pytest.FixtureRequest) -> None:
    """FAILURES 20: nothing acknowledged is lost. `--seeds N` kills it N times; the short form three times."""
    with orders_coming_in(sea):
        for _ in range(request.config.getoption("--seeds") or 3):
            sea.wait_until_heard()
            leader = leader_of()
            brokers.kill(leader)
            testing.wait_until(lambda: leader_of() not in (leader, -1), what="a new leader", timeout_seconds=60)  # noqa: B023
            sea.wait_until_heard()
            brokers.start(leader)
    sea.drain()
    sea.assert_each_once_and_in_sequence()


def test_the_leader_frozen_and_thawed(sea: Sea, brokers: Any) -> None:
    """FAILURES 6: answers that come too late or never; rows of a key wait for their turn, and nothing is left out."""
    with orders_coming_in(sea):
        sea.wait_until_heard()
        leader = leader_of()
        brokers.pause(leader)
        try:
            testing.wait_until(lambda: leader_of() not in (leader, -1), what="a new leader", timeout_seconds=90)
            sea.wait_until_heard()
        finally:
            brokers.resume(leader)
        sea.wait_until_heard()
    sea.drain()
    sea.assert_each_once_and_in_sequence()
