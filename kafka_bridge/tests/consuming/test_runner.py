"""The runner on a real broker: what it does when something fails, and that nothing is lost or doubled by it."""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg.errors
import pytest
from django.db import OperationalError, connection

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.group_members import committed, rewind, running
from devtools.testing.bridge.kafka_logs import headers_of
from devtools.testing.bridge.relays import read_topic, send
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.models import InboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import clients, error_classes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.kafka, pytest.mark.usefixtures("kafka", "quick")]
MakeGroup = Callable[[str], registry.Group]
DEAD = "orders.events.notifications.dlq"


def had() -> int:
    """How many the group has handled."""
    return InboxRow.objects.filter(group="notifications").count()


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_everything_is_handled_once_and_the_offsets_follow(group: registry.Group, settings: Any, protocol: str) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
    seen: Counter[str] = Counter()

    @group.on_batch(catalogue.OrderCreated)
    def count(events: Sequence[catalogue.OrderCreated]) -> None:
        seen.update(event.key for event in events)

    send(*(created() for _ in range(300)))
    with running(group) as member:
        testing.wait_until(lambda: had() == 300, what="300 handled")
        testing.wait_until(lambda: committed("notifications") == 300, what="300 committed")
    assert (len(seen), set(seen.values()), member.duplicates) == (300, {1}, 0)


@pytest.mark.rush
def test_a_patient_groups_messages_wait_for_company(group: registry.Group) -> None:
    batches: list[int] = []
    group.patience_seconds = 0.5

    @group.on_batch(catalogue.OrderCreated)
    def count(events: Sequence[catalogue.OrderCreated]) -> None:
        batches.append(len(events))

    with running(group) as member:
        testing.wait_until(lambda: len(member.assigned) == 3, what="a member", timeout_seconds=60)
        began = time.monotonic()
        for _ in range(20):
            send(created())
        testing.wait_until(lambda: had() == 20, what="20 handled", timeout_seconds=60)
        waits = (time.monotonic() - began) / group.patience_seconds
        testing.wait_until(lambda: committed("notifications") == 20, what="20 committed", timeout_seconds=60)
    assert sum(batches) == 20
    assert len(batches) <= waits + 3, "no more often than brokers hand over what they held"


def test_a_poison_message_stops_only_itself(group: registry.Group) -> None:
    """FAILURES 3 and 22: three attempts, then acknowledged among the dead letters, then the offset moves."""
    poison, attempts = uuid4(), Counter[UUID]()

    @group.on(catalogue.OrderCreated)
    def fail_for_one(event: catalogue.OrderCreated) -> None:
        attempts[event.order_id] += 1
        if event.order_id == poison:
            raise ValueError("this one never works")

    events = [created() for _ in range(49)]
    send(*events[:20], created(poison), *events[20:])
    with running(group) as member:
        testing.wait_until(lambda: had() == 49, what="49 handled")
        testing.wait_until(lambda: committed("notifications") == 50, what="50 committed")
    assert member.dead == 1
    assert attempts[poison] in (3, 4), "three alone, and perhaps one in the batch"
    [letter] = read_topic(DEAD, count=1)
    headers = headers_of(letter)
    assert (headers["dlq_error"], headers["dlq_attempts"], headers["dlq_group"]) == (
        b"ValueError: this one never works", b"3", b"notifications",
    )  # fmt: skip
    assert b"fail_for_one" in headers["dlq_traceback"]
    assert headers["ce_type"] == b"order.created"
    assert letter.key() == str(poison).encode()


@pytest.mark.parametrize("bad", [1, 30])
def test_bad_messages_are_found_in_a_batch(group: registry.Group, bad: int) -> None:
    """Though the handler takes lists and cannot say which one it was."""
    orders = [uuid4() for _ in range(300)]
    poison = set(orders[7::10][:bad])

    @group.on_batch(catalogue.OrderCreated)
    def fail_for_some(events: Sequence[catalogue.OrderCreated]) -> None:
        if found := poison & {event.order_id for event in events}:
            raise ValueError(f"{len(found)} of these")

    send(*map(created, orders))
    with running(group) as member:
        testing.wait_until(lambda: had() == 300 - bad, what="the good ones")
        testing.wait_until(lambda: committed("notifications") == 300, what="300 committed")
    assert member.dead == bad
    assert {UUID((letter.key() or b"").decode()) for letter in read_topic(DEAD, count=bad)} == poison


def test_a_message_that_is_no_event_goes_straight_to_the_dead_letters(group: registry.Group) -> None:
    @group.on(catalogue.OrderCreated)
    def accept(event: catalogue.OrderCreated) -> None: ...

    producer = clients.producer()
    producer.produce(
        clients.topic_name("orders.events"), key=b"x", value=b"not json", headers=[("ce_type", b"order.created")]
    )
    producer.flush(10)
    send(created())
    with running(group) as member:
        testing.wait_until(lambda: had() == 1, what="the good one")
        testing.wait_until(lambda: committed("notifications") == 2, what="2 committed")
    assert member.dead == 1
    [letter] = read_topic(DEAD, count=1)
    assert (letter.value(), headers_of(letter)["dlq_attempts"]) == (b"not json", b"0")
    assert headers_of(letter)["dlq_error"] == b"Malformed: header 'ce_dataversion' is missing"


def test_a_rejected_message_is_not_tried_again(group: registry.Group) -> None:
    calls: list[str] = []

    @group.on(catalogue.OrderDelivered)
    def reject(event: catalogue.OrderDelivered) -> None:
        calls.append(event.key)
        raise registry.Reject("we do not take these")

    send(delivered())
    with running(group):
        testing.wait_until(lambda: committed("notifications") == 1, what="1 committed")
    assert 1 <= len(calls) <= 2
    [letter] = read_topic(DEAD, count=1)
    assert headers_of(letter)["dlq_attempts"] == b"1"


@pytest.mark.parametrize(
    "error", [OperationalError("server closed the connection"), error_classes.Unavailable("the gateway is away")]
)
def test_an_outage_pauses_and_loses_nothing(group: registry.Group, error: Exception) -> None:
    """No dead letter, no attempt counted, however long it takes."""
    away, calls = threading.Event(), Counter[str]()
    away.set()

    @group.on(catalogue.OrderCreated)
    def need_the_world(event: catalogue.OrderCreated) -> None:
        calls[event.key] += 1
        if away.is_set():
            raise error

    send(*(created() for _ in range(10)))
    with running(group) as member:
        testing.wait_until(lambda: calls.total() >= 8, what="more tries than a message has attempts")
        assert (had(), committed("notifications")) == (0, 0)
        away.clear()
        testing.wait_until(lambda: had() == 10, what="10 handled")
    assert member.dead == 0
    assert read_topic(DEAD, count=1, timeout_seconds=1) == []


def test_a_deadlock_runs_the_transaction_again(group: registry.Group) -> None:
    """FAILURES 30."""
    calls: list[str] = []

    @group.on(catalogue.OrderCreated)
    def collide_twice(event: catalogue.OrderCreated) -> None:
        calls.append(event.key)
        outbox.publish(delivered(event.order_id))
        if len(calls) < 3:
            raise OperationalError("deadlock detected") from psycopg.errors.DeadlockDetected()

    send(created())
    with running(group) as member:
        testing.wait_until(lambda: had() == 1, what="1 handled")
    assert (len(calls), member.dead) == (3, 0)
    assert len(testing.stated(catalogue.OrderDelivered)) == 1


def test_a_crash_between_the_commits_delivers_twice_and_does_once(group: registry.Group) -> None:
    """FAILURES 2: the effect is committed, the offset is not."""
    done: Counter[str] = Counter()

    @group.on(catalogue.OrderCreated)
    def act(event: catalogue.OrderCreated) -> None:
        done[event.key] += 1

    send(*(created() for _ in range(30)))
    with running(group):
        testing.wait_until(lambda: committed("notifications") == 30, what="30 committed")
    rewind("notifications")
    with running(group) as again:
        testing.wait_until(lambda: again.duplicates == 30, what="30 seen before")
    assert (len(done), set(done.values()), again.handled) == (30, {1}, 0)


def test_a_lost_database_connection_is_made_anew(group: registry.Group) -> None:
    @group.on(catalogue.OrderCreated)
    def act(event: catalogue.OrderCreated) -> None: ...

    send(created())
    with running(group):
        testing.wait_until(lambda: had() == 1, what="the first")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid != pg_backend_pid() AND backend_type = 'client backend'"
            )
        send(created(), cancelled())
        testing.wait_until(lambda: had() == 2, what="the second")


def test_members_share_the_partitions_and_a_leaver_gives_them_back(group: registry.Group) -> None:
    seen: Counter[str] = Counter()

    @group.on(catalogue.OrderCreated)
    def act(event: catalogue.OrderCreated) -> None:
        seen[event.key] += 1

    with running(group) as first:
        send(*(created() for _ in range(60)))
        testing.wait_until(lambda: had() == 60, what="60 handled by one")
        with running(group) as second:
            testing.wait_until(lambda: len(second.assigned) >= 1, what="partitions for the second")
            assert len(first.assigned) + len(second.assigned) <= 3
            send(*(created() for _ in range(60)))
            testing.wait_until(lambda: had() == 120, what="120 handled by two")
        testing.wait_until(lambda: len(first.assigned) == 3, what="all partitions back with the first")
        send(*(created() for _ in range(60)))
        testing.wait_until(lambda: had() == 180, what="180 handled")
    assert (len(seen), set(seen.values())) == (180, {1})
