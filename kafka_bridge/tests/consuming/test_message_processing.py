"""One batch, one transaction: duplicates, order within a key, what a failure leaves behind."""

from collections.abc import Callable, Sequence
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devtools.testing.bridge.bridge_events import cancelled, created, delivered
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import message_processing, registry
from kafka_bridge.models import InboxRow, OutboxRow
from kafka_bridge.publishing import outbox
from kafka_bridge.wire.envelope import Received

pytestmark = pytest.mark.django_db(transaction=True)
MakeGroup = Callable[[str], registry.Group]


def received(event: OrderEvent, offset: int = 0) -> Received:
    """As it comes from a topic."""
    return Received(
        event=event, id=uuid4(), correlation_id=event.order_id, topic=event.TOPIC.name, partition=0, offset=offset
    )


def listening_group(make_group: MakeGroup) -> tuple[registry.Group, list[list[OrderEvent]]]:
    """A group that notes each call of its handlers."""
    group, calls = make_group("listening"), list[list[OrderEvent]]()

    @group.on_batch(catalogue.OrderCreated)
    def note_created(events: Sequence[catalogue.OrderCreated]) -> None:
        calls.append(list(events))

    @group.on_batch(catalogue.OrderCancelled)
    def note_cancelled(events: Sequence[catalogue.OrderCancelled]) -> None:
        calls.append(list(events))

    @group.on(catalogue.OrderDelivered)
    def note_delivered(event: catalogue.OrderDelivered) -> None:
        calls.append([event])

    return group, calls


def test_each_message_counts_once_however_often_it_comes(make_group: MakeGroup) -> None:
    group, calls = listening_group(make_group)
    message = received(created())
    assert message_processing.handle(group, [message, message]) == (1, 1)
    assert message_processing.handle(group, [message]) == (0, 1)
    assert calls == [[message.event]]
    assert InboxRow.objects.filter(group="listening").count() == 1


def test_a_kind_is_handed_over_together_but_a_key_stays_in_sequence(make_group: MakeGroup) -> None:
    group, calls = listening_group(make_group)
    one, two = uuid4(), uuid4()
    events: list[OrderEvent] = [created(one), created(two), cancelled(one), created(), cancelled(two), delivered(two)]
    message_processing.handle(group, [received(event) for event in events])

    assert calls == [[events[0], events[1], events[3]], [events[2], events[4]], [events[5]]]


def test_five_hundred_messages_cost_a_handful_of_statements(make_group: MakeGroup) -> None:
    group = make_group("stating")

    @group.on_batch(catalogue.OrderCreated)
    def answer(events: Sequence[catalogue.OrderCreated]) -> None:
        for event in events:
            outbox.publish(delivered(event.order_id))

    messages = [received(created()) for _ in range(500)]
    with CaptureQueriesContext(connection) as queries:
        assert message_processing.handle(group, messages) == (500, 0)
    assert len(queries) == 4, "begin, inbox (unless something is parked), outbox, commit"
    row = OutboxRow.objects.get(key=messages[3].event.key)
    assert row.causation_id == messages[3].id


def test_a_handler_that_raises_leaves_no_trace(make_group: MakeGroup) -> None:
    group = make_group("failing")

    @group.on(catalogue.OrderCreated)
    def fail(event: catalogue.OrderCreated) -> None:
        outbox.publish(delivered(event.order_id))
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        message_processing.handle(group, [received(created())])
    assert (InboxRow.objects.count(), OutboxRow.objects.count()) == (0, 0)


def test_what_a_group_does_not_hear_costs_it_nothing(make_group: MakeGroup) -> None:
    group, calls = listening_group(make_group)
    confirmed = catalogue.OrderConfirmed(
        order_id=uuid4(), flow="reserve_first", lines=(), total_minor=0, currency="USD"
    )
    with CaptureQueriesContext(connection) as queries:
        assert message_processing.handle(group, [received(confirmed)]) == (0, 0)
    assert (len(queries), calls) == (0, [])


def test_two_handlers_for_one_event_are_reported(make_group: MakeGroup) -> None:
    group, _ = listening_group(make_group)

    @group.on(catalogue.OrderDelivered, flow=catalogue.PAYMENT_FIRST)
    def again(event: catalogue.OrderDelivered) -> None: ...

    assert [error.msg for error in registry.check_registry()] == [
        "group 'listening' has two handlers for order.delivered (flow='payment_first')"
    ]
    assert testing.stated() == []
