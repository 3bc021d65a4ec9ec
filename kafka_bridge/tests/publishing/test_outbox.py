"""The outbox: facts commit with their cause, in order, in one statement."""

import logging
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from kafka_bridge import jobs, testing
from kafka_bridge.consuming import registry
from kafka_bridge.models import InboxRow, OutboxRow
from kafka_bridge.monitoring.alarms import Alarm
from kafka_bridge.publishing import outbox
from kafka_bridge.wire.envelope import Received

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_fact_outside_a_transaction_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError, match=r"inside transaction\.atomic"):
        outbox.publish(created())


def test_a_fact_disappears_with_its_cause() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        outbox.publish(created())
        raise RuntimeError
    assert testing.stated() == []


def test_facts_leave_in_the_order_they_were_stated() -> None:
    events = [created(), delivered(), cancelled()]
    with transaction.atomic():
        outbox.publish(*events[:2])
        outbox.publish(events[2])
    assert testing.stated() == events


def test_collected_facts_are_one_statement_and_know_their_cause() -> None:
    events = [created() for _ in range(50)]
    cause = Received(event=events[7], id=uuid4(), correlation_id=uuid4(), topic="orders.events", partition=0, offset=0)
    with transaction.atomic(), CaptureQueriesContext(connection) as queries, outbox.collect({events[7].key: cause}):
        for event in events:
            outbox.publish(event)
    assert len(queries) == 1
    caused = OutboxRow.objects.get(key=events[7].key)
    assert (caused.causation_id, caused.correlation_id) == (cause.id, cause.correlation_id)
    own = OutboxRow.objects.get(key=events[8].key)
    assert (own.causation_id, own.correlation_id) == (None, events[8].order_id)


def test_nothing_is_kept_when_the_collecting_block_fails() -> None:
    with pytest.raises(RuntimeError), transaction.atomic(), outbox.collect():
        outbox.publish(created())
        raise RuntimeError
    assert testing.stated() == []


def test_what_some_group_has_not_handled_is_sent_again() -> None:
    with transaction.atomic():
        outbox.publish(heard := created(), unheard := created())
    OutboxRow.objects.update(published_at=OutboxRow.objects.first().created_at)  # type: ignore[union-attr]
    row = OutboxRow.objects.get(key=heard.key)
    for group in ("analytics", "inventory", "payments"):
        InboxRow.objects.create(group=group, event_id=row.event_id, topic=row.topic, partition=0, offset=0)

    assert outbox.republish_unheard(registry.heard()) == 1
    assert list(OutboxRow.objects.filter(published_at=None).values_list("key", flat=True)) == [unheard.key]
    assert outbox.backlog() == 1


def test_events_that_do_not_leave_raise_an_alarm_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """FAILURES 32: the outbox grows while nobody notices."""
    monkeypatch.setattr(jobs, "_not_leaving", Alarm(over="that is over"))
    caplog.set_level(logging.INFO, logger="kafka_bridge.monitoring.alarms")
    with transaction.atomic():
        outbox.publish(created())
    jobs.watch_outbox()
    assert caplog.messages == []
    OutboxRow.objects.update(created_at=timezone.now() - timedelta(seconds=90))
    for _ in range(2):
        jobs.watch_outbox()
    assert caplog.messages == ["an event has waited 90 s for the relay: is one running, and does it reach Kafka?"]
    OutboxRow.objects.update(published_at=timezone.now())
    jobs.watch_outbox()
    assert caplog.messages[1:] == ["that is over"]
