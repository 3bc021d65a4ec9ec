"""Every (status, event) pair has a written answer, and does what it says."""

import re
from uuid import UUID

import pytest
from django.db import transaction

from devtools.testing.shop.orders import CHARGE, draft
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.wire import event_types
from orders.models import Order, Status, TrailEntry
from orders.placing import placement
from orders.state_machine import transitions
from orders.state_machine.transitions import Answer

pytestmark = pytest.mark.django_db(transaction=True)
HEARD = [event for event in catalogue.EVENTS if registry.find("orders").knows(event)]


def make_order(status: Status) -> Order:
    """An order that got to this status on the usual way; PAID is paid and not yet held."""
    placed = placement.place(draft())
    order = Order.objects.get(pk=placed.order_id)
    path = {
        Status.PENDING: [],
        Status.PAID: [Status.PAID],
        Status.SHIPPED: [Status.PAID, Status.SHIPPED],
        Status.DELIVERED: [Status.PAID, Status.SHIPPED, Status.DELIVERED],
        Status.CANCELLED: [Status.CANCELLED],
    }[status]
    for step in path:
        with transaction.atomic():
            order.move_to(step, at=order.placed_at)
            if step == Status.SHIPPED:
                order.held_at = order.confirmed_at = order.placed_at
            Order.objects.write([order])
    return order


def make_event(kind: type[OrderEvent], order: Order) -> OrderEvent:
    """An event of this type about this order."""
    own: dict[type[OrderEvent], dict[str, object]] = {
        catalogue.InventoryReserved: {
            "lines": (), "total_minor": 1250, "currency": "USD", "payment_method": "pm_success",
        },
        catalogue.InventoryInsufficient: {"missing": ("x",)},
        catalogue.InventoryExpired: {},
        catalogue.PaymentActionRequired: {"charge_id": CHARGE, "url": "https://bank.example/confirm/1"},
        catalogue.PaymentUnknown: {"charge_id": CHARGE},
        catalogue.PaymentConfirmed: {
            "charge_id": CHARGE, "transaction_id": "t1", "amount_minor": 1250, "currency": "USD",
            "payment_method": "pm_success", "lines": (),
        },
        catalogue.PaymentFailed: {"charge_id": CHARGE, "reason": "card declined"},
        catalogue.PaymentRefunded: {
            "charge_id": CHARGE, "refund_id": CHARGE, "amount_minor": 1250, "currency": "USD", "reason": "cancelled",
        },
    }  # fmt: skip
    return kind(order_id=order.pk, flow=order.flow, **own[kind])


def test_every_pair_has_an_answer() -> None:
    assert set(transitions.ANSWERS) == {(status, event) for status in Status for event in HEARD}


def test_the_table_in_the_docstring_is_the_table() -> None:
    rows = re.findall(r"^\| ([A-Z]+) +\| (.+) \|$", transitions.__doc__ or "", re.MULTILINE)
    names = re.search(r"^\| status \| (.+) \|$", transitions.__doc__ or "", re.MULTILINE)
    assert names is not None
    kinds = [event for name in names[1].split("|") if (event := event_types.find(name.strip(), 1))]
    written = {
        (Status(status), kind): Answer(cell.strip())
        for status, cells in rows
        for kind, cell in zip(kinds, cells.split("|"), strict=True)
    }
    assert written == dict(transitions.ANSWERS)


@pytest.mark.parametrize("event", HEARD, ids=lambda e: e.TYPE)
@pytest.mark.parametrize("status", list(Status))
def test_the_order_does_what_the_table_says(status: Status, event: type[OrderEvent]) -> None:
    order = make_order(status)
    before = len(testing.stated())
    testing.give("orders", make_event(event, order))

    order.refresh_from_db()
    answer = transitions.ANSWERS[status, event]
    entry = TrailEntry.objects.filter(order=order).latest("id")
    assert (entry.what, entry.answer, entry.status) == (event.TYPE, answer, order.status)
    if answer is not Answer.MOVE:
        assert order.status == status
        assert len(testing.stated()) == before


@pytest.mark.parametrize("event", HEARD, ids=lambda e: e.TYPE)
@pytest.mark.parametrize("status", list(Status))
def test_a_second_delivery_changes_nothing(status: Status, event: type[OrderEvent]) -> None:
    order = make_order(status)
    assert testing.give("orders", make_event(event, order)) == 1
    after = Order.objects.filter(pk=order.pk).values().get()
    facts = testing.stated()

    assert testing.give("orders", make_event(event, order)) == 0
    assert Order.objects.filter(pk=order.pk).values().get() == after
    assert testing.stated() == facts


def test_paid_after_held_confirms_and_so_does_held_after_paid() -> None:
    first, second = make_order(Status.PENDING), make_order(Status.PENDING)
    reserved, paid = catalogue.InventoryReserved, catalogue.PaymentConfirmed
    testing.give("orders", make_event(reserved, first), make_event(paid, first))
    testing.give("orders", make_event(paid, second), make_event(reserved, second))

    for order in (first, second):
        order.refresh_from_db()
        assert (order.status, order.is_confirmed) == (Status.PAID, True)
    assert [event.key for event in testing.stated(catalogue.OrderConfirmed)] == [str(first.pk), str(second.pk)]


def test_money_for_a_cancelled_order_is_noted_and_shown_as_being_refunded() -> None:
    order = make_order(Status.CANCELLED)
    testing.give("orders", make_event(catalogue.PaymentConfirmed, order))
    order.refresh_from_db()
    assert (order.status, order.payment_reference, order.is_final) == (Status.CANCELLED, "t1", False)


def test_an_event_about_an_order_that_never_was_is_an_error() -> None:
    ghost = Order(pk=UUID(int=1), flow="reserve_first")
    with pytest.raises(LookupError, match="does not exist"):
        testing.give("orders", make_event(catalogue.PaymentConfirmed, ghost))
