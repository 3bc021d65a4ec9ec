"""The relay on a real broker: nothing skipped, nothing out of order, one leader."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection, transaction

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from devtools.testing.bridge.relays import read_topic, running_relay
from kafka_bridge import testing
from kafka_bridge.models import OutboxRow
from kafka_bridge.publishing import outbox, relay
from kafka_bridge.runtime.postgresql import bulk_rows, leadership
from kafka_bridge.wire import envelope

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.kafka, pytest.mark.usefixtures("kafka")]

# Another shop on the same server, such as the one that runs for other tests, has a leader of its own.
LEADING = """
FROM pg_locks WHERE locktype = 'advisory' AND objid = %s
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def publish(*events: Any) -> None:
    """In a transaction of its own."""
    with transaction.atomic():
        outbox.publish(*events)


def wait_for_empty_outbox() -> None:
    testing.wait_until(lambda: outbox.backlog() == 0, what="an empty outbox")


def test_every_row_arrives_in_order_of_its_key_and_knows_where_it_lies() -> None:
    orders = [uuid4() for _ in range(40)]
    for make in (created, cancelled, delivered):
        publish(*(make(order) for order in orders))
    with running_relay():
        wait_for_empty_outbox()
    messages = read_topic("orders.events", count=120)
    kinds: dict[UUID, list[str]] = {order: [] for order in orders}
    for message in messages:
        event = envelope.decode(message).event
        kinds[UUID(event.key)].append(event.TYPE)
    assert set(map(tuple, kinds.values())) == {("order.created", "order.cancelled", "order.delivered")}
    places = {(m.partition(), m.offset()): str(envelope.decode(m).id) for m in messages}
    rows = OutboxRow.objects.values_list("partition", "offset", "event_id")
    assert {(partition, offset): str(event_id) for partition, offset, event_id in rows} == places


def test_a_transaction_that_commits_late_is_not_skipped() -> None:
    """FAILURES 4: its row has a lower id than one that has been sent already."""
    early, late = created(), created()
    with second_connection() as other:
        other.execute("BEGIN")
        insert_by_hand(other, early)
        publish(late)
        with running_relay():
            wait_for_empty_outbox()
            assert [row.key for row in OutboxRow.objects.all()] == [late.key], "the early one is not committed yet"
            other.execute("COMMIT")
            testing.wait_until(
                lambda: OutboxRow.objects.filter(published_at__isnull=False).count() == 2, what="the late committer"
            )
    rows = OutboxRow.objects.order_by("id")
    assert [row.key for row in rows] == [early.key, late.key]


def test_only_one_relay_leads_and_the_other_takes_over() -> None:
    """FAILURES 5."""
    with running_relay() as first_stop:
        publish(created())
        wait_for_empty_outbox()
        with running_relay():
            assert leaders() == 1
            first_stop.set()
            publish(*(created() for _ in range(20)))
            wait_for_empty_outbox()
            testing.wait_until(lambda: leaders() == 1, what="one leader")
    assert len(read_topic("orders.events", count=22, timeout_seconds=3)) == 21, "each row once"


def test_a_leader_whose_connection_is_cut_comes_back() -> None:
    with running_relay():
        publish(created())
        wait_for_empty_outbox()
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid) {LEADING}", [relay.LEADER_LOCK & 0xFFFFFFFF])
            assert cursor.rowcount == 1
        publish(created())
        wait_for_empty_outbox()


def test_rows_of_a_failed_key_wait_and_others_pass(settings: Any) -> None:
    """FAILURES 6: the first row of one order cannot be delivered, so its second one must not be either."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, delivery_timeout_seconds=4)
    stuck, free = uuid4(), uuid4()
    publish(created(stuck))
    OutboxRow.objects.filter(key=str(stuck)).update(topic="no-such-topic")
    publish(delivered(stuck), created(free))
    with running_relay():
        testing.wait_until(
            lambda: OutboxRow.objects.filter(key=str(free), published_at__isnull=False).exists(), what="the free order"
        )
        assert OutboxRow.objects.filter(key=str(stuck), published_at=None).count() == 2
        OutboxRow.objects.filter(topic="no-such-topic").update(topic="orders.events")
        wait_for_empty_outbox()
    messages = [envelope.decode(message) for message in read_topic("orders.events", count=3)]
    assert [m.event.TYPE for m in messages if m.event.key == str(stuck)] == ["order.created", "order.delivered"]


def leaders() -> int:
    """How many sessions hold the relay's lock."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {LEADING} AND granted", [relay.LEADER_LOCK & 0xFFFFFFFF])
        return int(cursor.fetchone()[0])


@contextmanager
def second_connection() -> Iterator["psycopg.Connection[Any]"]:
    """A database session beside Django's."""
    with psycopg.connect(**leadership.connection_parameters(), autocommit=True) as other:
        yield other


def insert_by_hand(other: "psycopg.Connection[Any]", event: Any) -> None:
    """An outbox row in somebody else's transaction."""
    other.execute(outbox.INSERT, [bulk_rows.as_json([outbox.row_of(event)])])
