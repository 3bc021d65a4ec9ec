"""What a runner does when what it needs itself is broken: the topic for its copies, a connection to PostgreSQL."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from django.db import connection
from django.test import Client

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.group_members import running
from devtools.testing.bridge.kafka_logs import headers, produce_all, put, put_all, record_all
from devtools.testing.bridge.relays import read_topic
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.models import InboxRow
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients, error_classes
from kafka_bridge.runtime.postgresql import leadership

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.usefixtures("kafka"),
]
RETRY, DEAD = "orders.events.notifications.retry", "orders.events.notifications.dlq"


@pytest.fixture
def poison() -> set[UUID]:
    """Orders whose events cannot be handled."""
    return set()


@pytest.fixture
def group(
    make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch, poison: set[UUID]
) -> registry.Group:
    """A group in place of notifications."""
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")

    @group.on(catalogue.OrderCreated)
    def fail_for_some(event: catalogue.OrderCreated) -> None:
        if event.order_id in poison:
            raise ValueError("no")

    return group


@contextlib.contextmanager
def refusing(topic: str) -> Iterator[None]:
    """While that lasts the brokers take no message into this topic."""
    configure(topic, "1")
    try:
        yield
    finally:
        configure(topic, "1000000")


def configure(topic: str, largest_message: str) -> None:
    """Set how many bytes a message of the topic may have."""
    entry = ConfigEntry("max.message.bytes", largest_message, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, clients.topic_name(topic), incremental_configs=[entry])
    admin = clients.admin()
    [future] = admin.incremental_alter_configs([resource]).values()
    future.result(20)


def committed() -> int:
    """How far the group has come in the partition of these tests."""
    place = clients.topic_name("orders.events"), 0
    return offsets.committed_offsets("notifications", [place]).get(place, 0)


def had() -> int:
    """How many the group has handled."""
    return InboxRow.objects.filter(group="notifications").count()


@pytest.mark.parametrize(("delays", "topic"), [((), DEAD), ((600.0,), RETRY)])
def test_no_offset_moves_before_the_copy_is_acknowledged(
    group: registry.Group,
    poison: set[UUID],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    delays: tuple[float, ...],
    topic: str,
) -> None:
    """FAILURES 3 and 22: five good ones, a bad one, five good ones; its copy is not taken for a while."""
    # Its size stands for anything that passes: one broker has nothing else that keeps one topic from being written.
    monkeypatch.setattr(error_classes, "_REFUSALS", frozenset())
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, backoff_seconds=0.02, backoff_max_seconds=0.2, retry_delays_seconds=delays
    )
    bad = uuid4()
    poison.add(bad)
    now = datetime.now(UTC)
    put_all([(created(order), 0, now) for order in [*(uuid4() for _ in range(5)), bad, *(uuid4() for _ in range(5))]])
    with refusing(topic), running(group) as member:
        testing.wait_until(lambda: "paused, try 4 follows" in caplog.text, what="refusals", timeout_seconds=60)
        assert "MSG_SIZE_TOO_LARGE" in caplog.text
        assert (committed() <= 5, member.dead) == (True, 0)
        configure(topic, "1000000")
        testing.wait_until(lambda: committed() == 11, what="all behind us", timeout_seconds=60)
    assert had() == 10
    assert {letter.key() for letter in read_topic(topic, count=1)} == {str(bad).encode()}


def test_a_version_that_nobody_knows_yet_goes_to_the_dead_letters_as_it_is(group: registry.Group) -> None:
    """FAILURES 33: somebody has deployed producers first; older and newer ones lie between others that are handled."""
    put(created())
    event, now = created(), datetime.now(UTC)
    newer = [(name, b"2" if name == "ce_dataversion" else value) for name, value in headers(event, uuid4(), now)]
    producer = clients.producer()
    producer.produce(
        clients.topic_name("orders.events"), key=event.key.encode(), value=b'{"all":"new"}', headers=newer, partition=0
    )
    assert producer.flush(20) == 0
    put(created())
    with running(group) as member:
        testing.wait_until(lambda: committed() == 3, what="all behind us", timeout_seconds=60)
    assert (had(), member.dead) == (2, 1)
    [letter] = read_topic(DEAD, count=1)
    reasons = dict(letter.headers() or [])
    assert letter.value() == b'{"all":"new"}'
    assert reasons["dlq_error"] == b"Malformed: unknown event 'order.created' version 2"
    assert reasons["dlq_attempts"] == b"0"


def test_when_all_connections_are_taken_consumers_wait_and_pages_say_so(
    group: registry.Group, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """FAILURES 31."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, backoff_seconds=0.02, backoff_max_seconds=0.2)
    client = Client(raise_request_exception=False)
    placed = [(created(), 0, datetime.now(UTC)) for _ in range(30)]
    ids = record_all(placed)
    connection.close()
    with running(group) as member:
        testing.wait_until(lambda: len(member.assigned) == 3, what="a member", timeout_seconds=60)
        with all_connections_taken():
            produce_all(placed, ids)
            testing.wait_until(lambda: "paused, try 4 follows" in caplog.text, what="refusals", timeout_seconds=60)
            assert "too many clients already" in caplog.text
            page = client.get("/")
            assert (page.status_code, page["Retry-After"]) == (503, "5")
            assert member.handled == 0
        testing.wait_until(lambda: had() == 30, what="30 handled", timeout_seconds=60)
    assert (member.handled, member.dead, member.parked) == (30, 0, 0)


@contextlib.contextmanager
def all_connections_taken() -> Iterator[None]:
    """PostgreSQL lets nobody in any more, and has thrown out who was in."""
    with contextlib.ExitStack() as stack:
        taken = list[psycopg.Connection[Any]]()
        for _ in range(2):
            until = time.monotonic() + 3
            # Those that others give up meanwhile are taken as well.
            while time.monotonic() < until:
                try:
                    taken.append(stack.enter_context(psycopg.connect(**leadership.connection_parameters())))
                except psycopg.OperationalError as error:
                    assert "too many clients" in str(error)
                    time.sleep(0.1)
            taken[0].execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND NOT pid = ANY(%s)",
                [[each.info.backend_pid for each in taken]],
            )
        yield
