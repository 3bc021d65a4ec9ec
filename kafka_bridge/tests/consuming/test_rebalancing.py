"""Members come and go under load: nothing is lost, nothing happens twice, and each key stays in sequence.

A short storm decides; `make prove` has one of a minute, and `--seeds N` makes either N times as long.
"""

import dataclasses
import itertools
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.kafka_logs import put_all
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import registry, runner
from kafka_bridge.models import InboxRow
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.usefixtures("kafka"),
]
MakeGroup = Callable[[str], registry.Group]
PROTOCOLS = pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.prove)])
STORY = ("order.created", "order.delivered", "order.cancelled")
STORM_SECONDS = [8.0, pytest.param(60.0, marks=pytest.mark.prove(long=True))]
BETWEEN_SECONDS = 1.0


@dataclasses.dataclass
class Crew:
    """Members of one group, each in a thread; what their handlers committed, in sequence."""

    group: registry.Group
    told: list[tuple[UUID, str]] = dataclasses.field(default_factory=list)
    at_work: list[tuple[runner.Runner, threading.Event, threading.Thread]] = dataclasses.field(default_factory=list)
    duplicates: int = 0

    def hire(self) -> None:
        """One more."""
        stop = threading.Event()
        member = runner.Runner(self.group, stop)
        thread = threading.Thread(target=member.run)
        thread.start()
        self.at_work.append((member, stop, thread))

    def dismiss(self, place: int = 0) -> None:
        """One fewer; it finishes what it has in hand and leaves."""
        member, stop, thread = self.at_work.pop(place)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        self.duplicates += member.duplicates

    def shares(self) -> list[int]:
        """How many partitions each has, most first."""
        return sorted((len(member.assigned) for member, _, _ in self.at_work), reverse=True)

    def wait_for_shares(self, *shares: int) -> None:
        """Wait until the partitions are spread like that."""
        testing.wait_until(
            lambda: self.shares() == list(shares), what=f"shares of {shares}", timeout_seconds=60, every_seconds=0.1
        )


@pytest.fixture
def crew(make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    """Nobody yet; whoever is there in the end goes home."""
    monkeypatch.delitem(registry._groups, "notifications")
    crew = Crew(make_group("notifications"))

    def note(event: OrderEvent) -> None:
        transaction.on_commit(lambda: crew.told.append((event.order_id, event.TYPE)))

    for event in (catalogue.OrderCreated, catalogue.OrderDelivered, catalogue.OrderCancelled):
        crew.group.on(event)(note)
    yield crew
    while crew.at_work:
        crew.dismiss()


@contextmanager
def orders_coming_in() -> Iterator[list[UUID]]:
    """Orders whose three events come one after the other, all the time; the list grows. They stop on leaving."""
    stop, orders = threading.Event(), list[UUID]()

    def come_in() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            batch = [(uuid4(), (number + each) % 3) for each in range(20)]
            now = datetime.now(UTC)
            for make in (created, delivered, cancelled):
                put_all([(make(order_id), partition, now) for order_id, partition in batch])
            orders.extend(order_id for order_id, _ in batch)
            stop.wait(0.05)

    thread = threading.Thread(target=come_in)
    thread.start()
    try:
        yield orders
    finally:
        stop.set()
        thread.join(120)
        assert not thread.is_alive(), "the last orders are still on their way into the topic"


def assert_each_once_and_in_sequence(crew: Crew, orders: list[UUID]) -> None:
    """As soon as all is handled; and the offsets are as far as that, whoever has committed them."""
    wanted = 3 * len(orders)
    testing.wait_until(
        lambda: InboxRow.objects.filter(group="notifications").count() >= wanted,
        what=f"{wanted} messages handled",
        timeout_seconds=60,
    )
    testing.wait_until(lambda: committed() == wanted, what=f"{wanted} committed", timeout_seconds=60)
    # What a handler does after its commit comes a moment later than what is seen in the tables.
    testing.wait_until(lambda: len(crew.told) >= wanted, what=f"{wanted} told", timeout_seconds=60)
    crew_sees_again = crew.duplicates + sum(member.duplicates for member, _, _ in crew.at_work)
    print(f"{wanted} messages, {crew_sees_again} of them came again")
    heard = defaultdict(list)
    for order_id, kind in list(crew.told):
        heard[order_id].append(kind)
    assert {order_id: tuple(kinds) for order_id, kinds in heard.items()} == dict.fromkeys(orders, STORY)


def committed() -> int:
    """The sum of the group's committed offsets."""
    name = clients.topic_name("orders.events")
    return sum(offsets.committed_offsets("notifications", [(name, number) for number in range(3)]).values())


@PROTOCOLS
def test_from_one_member_to_three_to_four_to_two(crew: Crew, settings: Any, protocol: str) -> None:
    """FAILURES 15: offsets are committed through every rebalance; the fourth member stands by and takes over."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
    with orders_coming_in() as orders:
        crew.hire()
        crew.wait_for_shares(3)
        crew.hire()
        crew.hire()
        crew.wait_for_shares(1, 1, 1)
        crew.hire()
        crew.wait_for_shares(1, 1, 1, 0)
        busy = next(place for place, (member, _, _) in enumerate(crew.at_work) if member.assigned)
        crew.dismiss(busy)
        crew.wait_for_shares(1, 1, 1)
        crew.dismiss()
        crew.wait_for_shares(2, 1)
        seen = len(crew.told)
        testing.wait_until(lambda: len(crew.told) > seen, what="two members at work")
    assert_each_once_and_in_sequence(crew, orders)


@pytest.mark.parametrize("seconds", STORM_SECONDS)
@PROTOCOLS
def test_a_storm_of_rebalances(
    crew: Crew, settings: Any, protocol: str, request: pytest.FixtureRequest, seconds: float
) -> None:
    """FAILURES 15 and 18: somebody comes or goes every second; and the group is at work all the same."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
    chance = random.Random(15)  # noqa: S311 - any sequence will do
    ends_at = time.monotonic() + seconds * (request.config.getoption("--seeds") or 1)
    with orders_coming_in() as orders:
        crew.hire()
        crew.hire()
        crew.wait_for_shares(2, 1)
        while time.monotonic() < ends_at:
            time.sleep(BETWEEN_SECONDS)  # the pace of the storm
            if len(crew.at_work) < 2 or (len(crew.at_work) < 5 and chance.random() < 0.5):
                crew.hire()
            else:
                crew.dismiss(chance.randrange(len(crew.at_work)))
    assert_each_once_and_in_sequence(crew, orders)
    assert len(orders) > 50, "next to nothing was under way"
