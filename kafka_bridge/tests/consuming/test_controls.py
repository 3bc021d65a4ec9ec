"""What people have groups do: what is paused stands still whoever has it, the rest goes on, and nothing is lost."""

import dataclasses
import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.group_members import at_work, wait_for_members, working
from devtools.testing.bridge.kafka_logs import put_all
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import controls, registry, runner
from kafka_bridge.consuming.controls import InvalidControl
from kafka_bridge.models import GroupControl
from kafka_bridge.monitoring.groups import lag, stall_detector
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients

TOPIC, GROUP = "orders.events", "notifications"
WHY: dict[str, Any] = {"who": "ada", "reason": "looking into it"}
ON_KAFKA = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.operations, pytest.mark.usefixtures("kafka")]
PROTOCOLS = pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.prove)])
Told = dict[UUID, list[str]]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.operations]


def on_kafka(test: Any) -> Any:
    """A test with brokers."""
    for mark in ON_KAFKA:
        test = mark(test)
    return test


@pytest.fixture
def told(group: registry.Group) -> Told:
    """By order, what the group's handlers have committed, in sequence."""
    found: Told = defaultdict(list)

    def note(event: OrderEvent) -> None:
        transaction.on_commit(lambda: found[event.order_id].append(event.TYPE))

    for event in (catalogue.OrderCreated, catalogue.OrderDelivered, catalogue.OrderCancelled):
        group.on(event)(note)
    return found


@pytest.fixture
def members(group: registry.Group) -> Iterator[Callable[[], runner.Runner]]:
    """Hires members, each in a thread, who go home in the end."""
    with ExitStack() as hired:

        def hire() -> runner.Runner:
            stop = threading.Event()
            member = runner.Runner(group, stop)
            hired.enter_context(at_work(member.run, stop))
            return member

        yield hire


def orders_in(partition: int, number: int = 10) -> list[UUID]:
    """So many new orders, three events each, in this partition."""
    orders, now = [uuid4() for _ in range(number)], datetime.now(UTC)
    for make in (created, delivered, cancelled):
        put_all([(make(order_id), partition, now) for order_id in orders])
    return orders


def wait_for(told: Told, *orders: UUID) -> None:
    """Until the three events of all these orders were handled."""
    testing.wait_until(
        lambda: all(len(told[each]) >= 3 for each in orders), what="all events handled", timeout_seconds=60
    )


def committed() -> dict[int, int]:
    """By partition, what the group has committed."""
    name = clients.topic_name(TOPIC)
    found = offsets.committed_offsets(GROUP, [(name, number) for number in range(3)])
    return {number: offset for (_, number), offset in found.items()}


def id_of(member: runner.Runner) -> str:
    """What the brokers call it; empty while it is between two groups."""
    try:
        return member._consumer.memberid() or ""
    except RuntimeError:  # closed
        return ""


def run(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("control_group", *arguments, stdout=out)
    return out.getvalue()


def use(settings: Any, protocol: str) -> None:
    """Of Kafka's two protocols for groups."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)


@on_kafka
@PROTOCOLS
def test_a_paused_partition_stands_still_whoever_has_it(
    settings: Any, told: Told, members: Callable[[], runner.Runner], protocol: str
) -> None:
    use(settings, protocol)
    first = members()
    wait_for(told, *orders_in(0), *orders_in(1), *orders_in(2))
    testing.wait_until(lambda: len(committed()) == 3, what="all committed", timeout_seconds=60)
    controls.pause(group=GROUP, topic=TOPIC, partition=1, **WHY)
    place = clients.topic_name(TOPIC), 1
    testing.wait_until(lambda: place in first._held, what="the pause noticed", timeout_seconds=60)
    stood = committed()[1]

    waiting = orders_in(1)
    wait_for(told, *orders_in(0), *orders_in(2))
    second = members()  # the group is rebalanced, and the partition may have another owner
    wait_for_members(GROUP, 2)
    testing.wait_until(lambda: first.assigned and second.assigned, what="two members at work", timeout_seconds=60)
    wait_for(told, *orders_in(0), *orders_in(2))

    assert committed()[1] == stood
    assert not [order_id for order_id in waiting if told[order_id]]
    [row] = [row for row in lag.with_pauses(lag.read_lag([GROUP])) if (row.topic, row.partition) == (TOPIC, 1)]
    assert (row.state, row.reason, row.paused_by, row.messages) == ("paused", WHY["reason"], "ada", 30)
    detector = stall_detector.StallDetector(seconds=0)
    assert detector.find_stalled([row]) == []

    controls.resume(group=GROUP, topic=TOPIC, partition=1, who="ada", reason="seen")
    wait_for(told, *waiting)
    assert set(map(tuple, told.values())) == {("order.created", "order.delivered", "order.cancelled")}


@on_kafka
def test_a_group_that_is_paused_tries_nothing_again_either(settings: Any, group: registry.Group) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, attempts=1, backoff_seconds=0.02, retry_delays_seconds=(0.5,) * 60
    )
    attempts: list[UUID] = []
    is_broken = threading.Event()
    is_broken.set()

    @group.on(catalogue.OrderCreated)
    def break_down(event: OrderEvent) -> None:
        attempts.append(event.order_id)
        if is_broken.is_set():
            raise ValueError("not today")

    with working(group) as member:
        put_all([(created(), 0, datetime.now(UTC))])
        testing.wait_until(lambda: member.parked == 1, what="a parked message", timeout_seconds=60)
        controls.pause(group=GROUP, **WHY)
        testing.wait_until(
            lambda: member.runner._held == member.runner.assigned and member.retrying._controls.is_paused(),
            what="the pause noticed",
            timeout_seconds=60,
        )
        tried = len(attempts)
        put_all([(created(), 1, datetime.now(UTC))])
        threading.Event().wait(3.0)  # six times the pause before the next attempt
        assert len(attempts) == tried
        is_broken.clear()
        assert controls.resume(group=GROUP, who="ada", reason="mended") == 1
        testing.wait_until(lambda: len(set(attempts[tried:])) == 2, what="both handled", timeout_seconds=60)


@on_kafka
@PROTOCOLS
def test_a_member_leaves_and_comes_back_once(
    settings: Any, told: Told, members: Callable[[], runner.Runner], protocol: str
) -> None:
    use(settings, protocol)
    member = members()
    wait_for(told, *orders_in(0))
    before = id_of(member)
    controls.ask_to_rejoin(group=GROUP, member_id=before, **WHY)

    testing.wait_until(
        lambda: member.assigned and id_of(member) not in (before, ""),
        what="another member id",
        timeout_seconds=60,
    )
    after = id_of(member)
    wait_for(told, *orders_in(0), *orders_in(1), *orders_in(2))
    assert id_of(member) == after
    assert set(map(tuple, told.values())) == {("order.created", "order.delivered", "order.cancelled")}


@on_kafka
@pytest.mark.faults
def test_a_member_that_cannot_look_yet_handles_nothing(
    told: Told, members: Callable[[], runner.Runner], postgres_server: Any
) -> None:
    controls.pause(group=GROUP, topic=TOPIC, partition=1, **WHY)
    waiting, free = orders_in(1), orders_in(0)
    connection.close()
    postgres_server.kill()
    try:
        member = members()
        testing.wait_until(lambda: len(member.assigned) > 0, what="partitions", timeout_seconds=60)
        assert member._held == member.assigned
    finally:
        postgres_server.start()
    wait_for(told, *free)
    assert not [order_id for order_id in waiting if told[order_id]]
    assert {number for _, number in member._held} == {1}


# -- What is refused, and who is told ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"group": "nobody"}, "nobody"),
        ({"group": "inventory", "topic": "parcels"}, "does not hear parcels"),
        ({"group": "inventory", "partition": 1}, "of a topic that is named"),
        ({"group": "inventory", "topic": TOPIC, "partition": -1}, "from 0 on"),
        ({"group": "inventory", "reason": " "}, "Say why"),
    ],
)
def test_what_makes_no_sense_is_refused(place: dict[str, Any], words: str) -> None:
    for act in (controls.pause, controls.resume):
        with pytest.raises(InvalidControl, match=words):
            act(**(WHY | place))
    assert not GroupControl.objects.exists()


def test_a_place_is_paused_once_and_resumed_once() -> None:
    controls.pause(group="inventory", **WHY)
    with pytest.raises(InvalidControl, match="paused already, by ada"):
        controls.pause(group="inventory", who="bob", reason="me too")
    controls.pause(group="inventory", topic=TOPIC, **WHY)

    assert controls.resume(group="inventory", topic=TOPIC, who="bob", reason="fine") == 1
    assert controls.resume(group="inventory", who="bob", reason="fine") == 1
    with pytest.raises(InvalidControl, match="is not paused"):
        controls.resume(group="inventory", who="bob", reason="fine")
    assert {row.ended_by for row in GroupControl.objects.all()} == {"bob"}


def test_two_at_once_make_one_pause() -> None:
    with pytest.raises(Exception, match="group_control_one_pause"):
        for _ in range(2):
            GroupControl.objects.create(kind="pause", group="inventory", **WHY)


def test_the_command_does_it_and_says_it() -> None:
    assert "would be told" in run("pause", "inventory", "--reason=look", "--dry-run")
    assert run("list").strip() == "Nothing is paused."
    run("pause", "inventory", f"--topic={TOPIC}", "--partition=1", "--reason=look", "--by=ada")
    [pause] = json.loads(run("list", "--json"))["pauses"]
    assert {name: pause[name] for name in ("group", "topic", "partition", "by", "reason")} == {
        "group": "inventory", "topic": TOPIC, "partition": 1, "by": "ada", "reason": "look",
    }  # fmt: skip
    assert f"inventory in {TOPIC}[1]" in run("list")
    with pytest.raises(CommandError, match="paused already") as refused:
        run("pause", "inventory", f"--topic={TOPIC}", "--partition=1", "--reason=look")
    assert refused.value.returncode == 2
    run("pause", "inventory", "--reason=look", "--by=bob")
    said = run("resume", "inventory", f"--topic={TOPIC}", "--partition=1", "--reason=seen")
    assert "It stands still all the same: the whole group is paused by bob: look" in said
    assert "goes on" in run("resume", "inventory", "--reason=seen")


@pytest.mark.faults
def test_while_postgresql_is_away_what_was_read_last_holds(postgres_server: Any) -> None:
    hours = itertools.count(step=3600.0)
    reader = controls.ControlReader("inventory", now=lambda: next(hours))
    controls.pause(group="inventory", topic=TOPIC, partition=1, **WHY)
    reader.look()
    new = controls.ControlReader("inventory", now=lambda: next(hours))
    postgres_server.kill()
    try:
        new.look()
        assert new.is_paused(TOPIC, 2), "nothing is known yet"
        reader.look()
        assert reader.is_paused(TOPIC, 1)
        assert not reader.is_paused(TOPIC, 2)
    finally:
        postgres_server.start()
    connection.close()

    new.look()
    assert (new.is_paused(TOPIC, 1), new.is_paused(TOPIC, 2)) == (True, False)
    controls.resume(group="inventory", who="ada", reason="seen")
    reader.look()
    assert not reader.is_paused(TOPIC, 1)
