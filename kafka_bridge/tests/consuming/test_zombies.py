"""Members that the group takes for dead and that are not: what they had in hand is done once, by whomever."""

import dataclasses
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Message, TopicPartition
from django.db import connection, transaction

from devtools.testing.bridge.bridge_events import created, delivered
from devtools.testing.bridge.group_members import running, wait_for_members
from devtools.testing.bridge.kafka_logs import produce_all, put_all, record_all, told
from devtools.testing.bridge.manage_processes import environment_of, process
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry, runner
from kafka_bridge.models import InboxRow

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.usefixtures("kafka"),
]
MakeGroup = Callable[[str], registry.Group]
PROTOCOLS = pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.prove)])


@PROTOCOLS
def test_a_handler_slower_than_the_poll_interval_does_nothing_twice(
    make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch, settings: Any, protocol: str
) -> None:
    """FAILURES 16: put out of the group in mid-batch; whether its offsets count or not, its inbox rows do."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, group_protocol=protocol, max_poll_interval_seconds=10
    )
    monkeypatch.delitem(registry._groups, "notifications")
    group, calls = make_group("notifications"), Counter[str]()
    is_slow, may_go_on = threading.Event(), threading.Event()

    @group.on(catalogue.OrderCreated)
    def take_long(event: catalogue.OrderCreated) -> None:
        calls[event.key] += 1
        if not is_slow.is_set():
            is_slow.set()
            may_go_on.wait(90)

    put_all([(created(), number % 3, datetime.now(UTC)) for number in range(90)])
    try:
        with running(group) as slow:
            assert is_slow.wait(60)
            with running(group) as other:
                testing.wait_until(lambda: len(other.assigned) == 3, what="a new owner", timeout_seconds=90)
                may_go_on.set()
                testing.wait_until(lambda: had("notifications") == 90, what="90 handled", timeout_seconds=60)
                testing.wait_until(lambda: slow.duplicates + other.duplicates > 0, what="counted redeliveries")
    finally:
        may_go_on.set()
    assert (len(calls), set(calls.values())) == (90, {1})
    assert slow.handled + other.handled == 90
    assert slow.handled > 0, "it finished what it had in hand"


@dataclasses.dataclass
class ByHand:
    """A member of a group that goes on when the test says so."""

    member: runner.Runner
    calls: Counter[str]

    @property
    def places(self) -> list[TopicPartition]:
        """What it has."""
        return [TopicPartition(*place) for place in self.member.assigned]

    def work_until(self, number: int) -> None:
        """So many are handled, each once."""

        def work_on() -> bool:
            self.member._step()
            return had("notifications") == number

        testing.wait_until(work_on, what=f"{number} handled")
        assert (len(self.calls), set(self.calls.values())) == (number, {1})

    def take(self) -> list[Message]:
        """Some messages, not handled yet."""
        taken: list[Message] = []

        def ask() -> bool:
            taken.extend(self.member._fetch(0.1))
            return bool(taken)

        testing.wait_until(ask, what="messages")
        return taken


@pytest.fixture
def by_hand(make_group: MakeGroup, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[ByHand]]:
    """To join the group with, once the settings are made."""
    monkeypatch.delitem(registry._groups, "notifications")
    group, calls = make_group("notifications"), Counter[str]()

    @group.on(catalogue.OrderCreated)
    def hear(event: catalogue.OrderCreated) -> None:
        calls[event.key] += 1

    @contextmanager
    def join() -> Iterator[ByHand]:
        member = runner.Runner(group, threading.Event())
        with member._joined([topic.name for topic in group.topics]):
            yield ByHand(member, calls)

    return join


@PROTOCOLS
def test_what_is_lost_and_back_within_one_call_is_read_again(
    by_hand: Callable[[], AbstractContextManager[ByHand]], settings: Any, protocol: str
) -> None:
    """FAILURES 17: thrown out, taken back and given messages while it asked once: nobody else will bring them again."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
    with by_hand() as work:
        put_all([(created(), number % 3, datetime.now(UTC)) for number in range(30)])
        work.work_until(30)
        put_all([(created(), number % 3, datetime.now(UTC)) for number in range(30)])
        member, places = work.member, work.places
        member._on_lost(member._consumer, places)
        member._on_assign(member._consumer, places)
        taken = work.take()
        assert member._revoked
        member._start_over(taken)
        work.work_until(60)


@PROTOCOLS
def test_what_is_lost_while_it_is_paused_is_read_when_it_is_back(
    by_hand: Callable[[], AbstractContextManager[ByHand]], settings: Any, protocol: str
) -> None:
    """FAILURES 17 and 18: thrown out while it waits, as after it was frozen in a transaction; then taken back."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
    with by_hand() as work:
        put_all([(created(), number % 3, datetime.now(UTC)) for number in range(30)])
        work.work_until(30)
        member, places = work.member, work.places
        member._consumer.pause(places)
        member._on_lost(member._consumer, places)
        member._start_over([])
        member._on_assign(member._consumer, places)
        put_all([(created(), number % 3, datetime.now(UTC)) for number in range(30)])
        work.work_until(60)


@PROTOCOLS
def test_a_zombie_wakes_up_and_nothing_is_lost_or_doubled(settings: Any, protocol: str) -> None:
    """FAILURES 17: frozen for longer than its session, replaced, and woken among its successors."""
    environment = environment_of(settings.KAFKA_BRIDGE) | {
        "KAFKA_GROUP_PROTOCOL": protocol,
        "CONSUMER_SILENT_SECONDS": "5",
    }
    with (
        process("run_consumer", "analytics", environment=environment) as zombie,
        process("run_consumer", "analytics", environment=environment) as successor,
    ):
        wait_for_members("analytics", 2)
        for _ in range(4):
            send(200)
        testing.wait_until(lambda: had("analytics") > 0, what="some handled")
        os.kill(zombie.pid, signal.SIGSTOP)
        send(200)
        wait_for_members("analytics", 1, timeout_seconds=90)
        os.kill(zombie.pid, signal.SIGCONT)
        send(200)
        testing.wait_until(lambda: had("analytics") == 1200, what="1,200 handled", timeout_seconds=60)
        wait_for_members("analytics", 2, timeout_seconds=60)
        for role in (zombie, successor):
            role.terminate()
        for role in (zombie, successor):
            _, text = role.communicate(timeout=20)
            assert (role.returncode, "seen before" in text) == (0, True), text
    shadow = told("replay_events", "--group", "analytics", "--shadow")
    assert (shadow["heard"], shadow["differences"]) == (1200, [])


def test_a_zombie_that_was_frozen_in_a_transaction_does_not_keep_its_locks(settings: Any) -> None:
    """FAILURES 17: it has taken the messages and committed nothing; whoever comes after it must get them."""
    environment = environment_of(settings.KAFKA_BRIDGE) | {
        "KAFKA_GROUP_PROTOCOL": "classic",  # there a session is shorter
        "CONSUMER_SILENT_SECONDS": "5",
    }
    with process("run_consumer", "analytics", environment=environment) as zombie:
        wait_for_members("analytics", 1)
        facts = [(delivered(), each % 3, datetime.now(UTC)) for each in range(90)]
        ids = record_all(facts)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE kafka_bridge_inboxrow IN SHARE MODE")
            produce_all(facts, ids)
            testing.wait_until(lambda: ("active", "Lock") in sessions(), what="one that waits for the table")
            os.kill(zombie.pid, signal.SIGSTOP)
        testing.wait_until(lambda: ("idle in transaction", "Client") in sessions(), what="a frozen transaction")
        with process("run_consumer", "analytics", environment=environment) as successor:
            testing.wait_until(lambda: had("analytics") == 90, what="90 handled", timeout_seconds=90)
            os.kill(zombie.pid, signal.SIGCONT)
            wait_for_members("analytics", 2, timeout_seconds=60)
            send(90)
            testing.wait_until(lambda: had("analytics") == 180, what="180 handled", timeout_seconds=60)
            for role in (zombie, successor):
                role.terminate()
            for role in (zombie, successor):
                _, text = role.communicate(timeout=20)
                assert (role.returncode, "0 parked, 0 dead letters" in text) == (0, True), text
    shadow = told("replay_events", "--group", "analytics", "--shadow")
    assert (shadow["heard"], shadow["differences"]) == (180, [])


def sessions() -> set[tuple[str, str]]:
    """What the other sessions in this database do, and what they wait for."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # or a transaction sees the same all the time
        cursor.execute("SELECT state, wait_event_type FROM pg_stat_activity WHERE datname = current_database()")
        return set(cursor.fetchall())


def had(group: str) -> int:
    """How many the group has had."""
    return InboxRow.objects.filter(group=group).count()


def send(number: int) -> None:
    """So many facts over three partitions."""
    put_all([(delivered(), each % 3, datetime.now(UTC)) for each in range(number)])
