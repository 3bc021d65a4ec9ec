"""Hostile messages in every topic of a real broker, and all consumers of the shop at work on them and on orders."""

import contextlib
import dataclasses
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from devtools.testing.bridge import hostile_messages
from devtools.testing.bridge.group_members import at_work
from devtools.testing.bridge.raw_producer import put_raw
from devtools.testing.bridge.relays import running_relay
from devtools.testing.shop.orders import OTHER, draft
from devtools.testing.shop.stories import stock
from kafka_bridge import testing
from kafka_bridge.consuming import consumer_process, registry, workers
from kafka_bridge.dead_letters import consumer
from kafka_bridge.models import DeadLetter, OutboxRow
from kafka_bridge.monitoring.groups import lag
from kafka_bridge.replaying import log_reader, offset_ranges, projections, replay
from orders.models import Order
from orders.placing import placement

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.security,
    pytest.mark.slow,
    pytest.mark.usefixtures("kafka", "sandbox_gateway"),
]
AT_ONCE = 100
PER_MESSAGE_SECONDS = 0.3


@dataclasses.dataclass
class Consumers:
    """All consumers of the shop, and how those ended that did."""

    errors: list[str] = dataclasses.field(default_factory=list)

    def assert_alive(self) -> None:
        """None of them has ended."""
        assert self.errors == []

    def wait_until(self, condition: Callable[[], object], *, what: str, timeout_seconds: float) -> None:
        """Wait for it while all of them live."""

        def is_so() -> bool:
            self.assert_alive()
            return bool(condition())

        testing.wait_until(is_so, what=what, timeout_seconds=timeout_seconds, every_seconds=0.5)

    def wait_until_read(self) -> None:
        """Wait until nothing is left to be read; every partition that is not read to its end must go on."""
        before: dict[str, int] = {}
        while left := behind():
            assert left != before, f"this stands still: {left}"
            before = left
            with contextlib.suppress(TimeoutError):
                self.wait_until(lambda: not behind(), what="all messages read", timeout_seconds=60)


@contextmanager
def all_consumers() -> Iterator[Consumers]:
    """Every group with its retries and its workers, the dead letters' and the relay, in threads of the test."""
    found, stop = Consumers(), threading.Event()

    def running(name: str, work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
                if not stop.is_set():
                    found.errors.append(f"{name} ended")
            except BaseException:
                found.errors.append(f"{name}: {traceback.format_exc()[-3000:]}")
            finally:
                connection.close()

        return run

    with ExitStack() as stack:
        stack.enter_context(running_relay())
        reader = consumer.DeadLetterConsumer(threading.Event())
        stack.enter_context(at_work(running("dead letters", reader.run), reader.stop))
        for group in registry.groups():
            own = threading.Event()
            for work in group.workers:
                stack.enter_context(at_work(workers.Worker(work, own).run, own))
            member = consumer_process.ConsumerProcess(group, own)
            stack.enter_context(at_work(running(group.name, member.run), own))
        stack.callback(stop.set)
        yield found
    found.assert_alive()


def place(number: int) -> list[UUID]:
    """So many healthy orders."""
    return [placement.place(draft(units={OTHER: 1})).order_id for _ in range(number)]


def all_confirmed(orders: list[UUID]) -> bool:
    """Whether all of them are paid and held."""
    return len(orders) == Order.objects.filter(pk__in=orders, confirmed_at__isnull=False).count()


def behind() -> dict[str, int]:
    """Messages that are still to be read, by group."""
    found = lag.read_lag(with_age=False)
    return {f"{each.group} {each.topic}[{each.partition}]": each.messages for each in found if each.messages}


def run_through(number: int, *, start: int) -> None:
    """So many hostile messages among orders: all orders are confirmed, all messages are read, all consumers live."""
    stock(**{f"s{OTHER}": 100_000})
    orders: list[UUID] = []
    hostile = hostile_messages.some(number, start=start)
    with all_consumers() as consumers:
        for first in range(0, number, AT_ONCE):
            orders += place(2)
            refused = put_raw(hostile[first : first + AT_ONCE])
            assert len(refused) < AT_ONCE / 2, refused
            orders += place(2)
            seconds = 30 + AT_ONCE * PER_MESSAGE_SECONDS
            consumers.wait_until(partial(all_confirmed, orders), what="healthy orders", timeout_seconds=seconds)
        consumers.wait_until_read()
        letters = DeadLetter.objects.count()
        assert letters > number / 4, "most of them are none that a group can handle"
        consumers.wait_until(lambda: not_had(orders) == 0, what="every fact of the orders heard", timeout_seconds=60)


def not_had(orders: list[UUID]) -> int:
    """Facts of these orders that some group that hears them has not had."""
    rows = OutboxRow.objects.filter(key__in=map(str, orders))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM unnest(%s::text[], %s::text[]) AS heard(type, grp) "
            "JOIN kafka_bridge_outboxrow o ON o.type = heard.type AND o.id = ANY(%s) "
            'LEFT JOIN kafka_bridge_inboxrow i ON i."group" = heard.grp AND i.event_id = o.event_id '
            "WHERE i.event_id IS NULL",
            [*map(list, zip(*sorted(registry.heard()), strict=True)), list(rows.values_list("id", flat=True))],
        )
        return int(cursor.fetchone()[0])


def read_again() -> None:
    """What reads the log besides the groups reads it as well: replays, and the shadow of a projection."""
    for group in registry.groups():
        for topic in group.topics:
            ranges = offset_ranges.plan_ranges(group, topic.name, "beginning", "end")
            outcome = replay.Replay(group, ranges, stop=threading.Event()).run(dry_run=True)
            assert outcome.is_whole
    with projections.shadow_of(registry.find("analytics")) as shadow:
        for batch in log_reader.read_messages(shadow.begin()):
            shadow.hear(batch)
    assert lag.read_lag()


@pytest.fixture(autouse=True)
def _quick(settings: Any, kafka: Any) -> None:
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        attempts=2,
        backoff_seconds=0.01,
        backoff_max_seconds=0.2,
        retry_delays_seconds=(0.05,),
        dead_letters_in_row=0,
    )


@pytest.mark.parametrize(
    ("number", "start"),
    [(300, 1), *(pytest.param(2500, start, marks=pytest.mark.prove(long=True)) for start in range(2, 6))],
)
def test_nothing_that_a_message_holds_ends_or_stalls_a_consumer(number: int, start: int) -> None:
    """XB1, XB2, XB3, XE3, FAILURES 47, 48 and 49."""
    began = time.monotonic()
    run_through(number, start=start)
    read_again()
    print(f"{number} hostile messages in {time.monotonic() - began:.0f} s")
