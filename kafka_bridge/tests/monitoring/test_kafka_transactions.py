"""Transactions of Kafka's, which a stranger may make: open ones hold nothing up, ended ones leave nobody behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.group_members import running
from devtools.testing.bridge.kafka_logs import headers, put
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.monitoring.groups import lag
from kafka_bridge.replaying import log_reader, offset_ranges
from kafka_bridge.runtime import clients
from kafka_bridge.wire import envelope

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.security,
    pytest.mark.usefixtures("kafka", "quick"),
]
TOPIC = "orders.events"


@pytest.fixture
def group(make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch) -> registry.Group:
    """A group in place of notifications."""
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")

    @group.on(catalogue.OrderCreated)
    def accept(event: catalogue.OrderCreated) -> None: ...

    return group


@contextmanager
def transaction_of(number: int) -> Iterator[Producer]:
    """So many events in a transaction of Kafka's that has begun and not ended."""
    producer = Producer(clients.common() | {"transactional.id": uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    for event in (created() for _ in range(number)):
        producer.produce(
            clients.topic_name(TOPIC),
            key=event.key.encode(),
            value=envelope.encode_body(event),
            partition=0,
            headers=headers(event, uuid4(), datetime.now(UTC)),
        )
    assert producer.flush(30) == 0
    yield producer


def behind() -> int:
    """Messages that the group has still to read, as `show_lag` counts them."""
    return sum(each.messages for each in lag.read_lag(["notifications"], with_age=False))


def had(number: int) -> None:
    """Wait until the group has handled so many, and nothing is shown as being still to come."""
    testing.wait_until(lambda: testing.had_by("notifications") == number, what=f"{number} handled", timeout_seconds=60)
    testing.wait_until(lambda: behind() == 0, what="nothing behind", timeout_seconds=60)


def test_an_open_transaction_holds_up_nothing_and_its_messages_count_as_lag(group: registry.Group) -> None:
    """XE4, FAILURES 50."""
    with transaction_of(30) as producer:
        put(created())
        assert behind() == 31
        with running(group):
            had(31)
        producer.abort_transaction(30)


@pytest.mark.parametrize("end", [Producer.abort_transaction, Producer.commit_transaction])
def test_a_transaction_that_has_ended_leaves_nobody_behind(
    group: registry.Group, end: Callable[[Producer, float], None]
) -> None:
    """XE4, FAILURES 50: what it wrote is read as it lies there, and the mark at its end is behind the group as well."""
    with running(group):
        with transaction_of(30) as producer:
            end(producer, 30)
        had(30)
        put(created())
        had(31)
    # A group that comes later finds the mark as the last thing in the topic.
    with transaction_of(5) as producer:
        end(producer, 30)
    assert behind() == 6, "a mark is counted until somebody has read up to it"
    with running(group):
        had(36)


def test_a_log_is_read_to_its_end_though_that_is_a_mark(group: registry.Group) -> None:
    """XE4, FAILURES 50: for replays and rebuilt tables."""
    with transaction_of(5) as producer:
        producer.abort_transaction(30)
    ranges = offset_ranges.plan_ranges(group, TOPIC, "beginning", "end")
    assert sum(map(len, ranges)) == 6
    assert sum(map(len, log_reader.read_messages(ranges, silence_seconds=5))) == 5
