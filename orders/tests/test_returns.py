"""Copies that come back after they have left: who may ask, what is paid back, and never a copy twice."""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import mail
from django.db import connection, transaction

from devtools.testing.shop.orders import OTHER, SKU, confirmed, draft
from events import catalogue
from kafka_bridge import testing
from orders.actions import cancellation, parcels, returns
from orders.mailing import mail_sending
from orders.models import Order, OrderMail, ReturnRequest, Status
from orders.placing import placement
from orders.state_machine.unit_of_work import UnknownOrder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]


def shipped(units: Mapping[str, int] | None = None) -> Order:
    """Confirmed, and on its way."""
    order = confirmed(units)
    with transaction.atomic():
        parcels.ship(order_ids=[order.pk], by="carrier")
    order.refresh_from_db()
    order.read_version = order.version
    return order


def ask(order: Order, units: Mapping[str, int]) -> ReturnRequest:
    with transaction.atomic():
        return returns.ask_return(order_id=order.pk, units=units, reason="pages are missing")


def accept(order: Order, units: Mapping[str, int], request_id: int | None = None) -> Order:
    with transaction.atomic():
        return returns.accept_return(
            order_id=order.pk, units=units, reason="damaged", by="grace", request_id=request_id
        )


def line(sku: str, quantity: int) -> catalogue.Line:
    return catalogue.Line(sku=sku, quantity=quantity, unit_price_minor=1250)


def paid_back() -> list[int]:
    """What was stated to go back, in minor units, each time."""
    return [event.amount_minor for event in testing.stated() if isinstance(event, catalogue.OrderReturned)]


def trail(order: Order) -> list[tuple[str, str]]:
    return list(order.trail.filter(what__contains="return").order_by("id").values_list("what", "detail"))


def test_each_return_states_its_own_copies_and_money() -> None:
    order = shipped()
    accept(order, {SKU: 1})
    with transaction.atomic():
        parcels.deliver(order_ids=[order.pk], by="carrier")
    accept(order, {SKU: 1, OTHER: 1})
    assert testing.stated(catalogue.OrderReturned) == [
        catalogue.OrderReturned(
            order_id=order.pk, flow=order.flow, lines=(line(SKU, 1),), amount_minor=1250, number=1, currency="USD",
            reason="damaged",
        ),
        catalogue.OrderReturned(
            order_id=order.pk, flow=order.flow, lines=(line(SKU, 1), line(OTHER, 1)), amount_minor=2500, number=2,
            currency="USD", reason="damaged",
        ),
    ]  # fmt: skip
    after = Order.objects.get()
    assert (after.status, after.total_minor, after.version) == (Status.DELIVERED, 3750, order.version + 3)
    assert trail(order) == [
        ("returned", f"by grace: damaged (12.50 USD back, 1 x {SKU})"),
        ("returned", f"by grace: damaged (25.00 USD back, 1 x {SKU}, 1 x {OTHER})"),
    ]


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        ({}, "Say of which book"),
        ({SKU: 0}, f"has 1 copies of {SKU} left, so 0 cannot"),
        ({SKU: -1}, f"has 1 copies of {SKU} left, so -1 cannot"),
        ({SKU: 2}, f"has 1 copies of {SKU} left, so 2 cannot"),
        ({OTHER: 1, "9780000000033": 1}, "has 0 copies of 9780000000033"),
    ],
)
def test_no_copy_is_returned_that_is_not_there(units: dict[str, int], sentence: str) -> None:
    order = shipped()
    accept(order, {SKU: 1})
    version = Order.objects.get().version
    with pytest.raises(returns.CannotReturn, match=sentence):
        accept(order, units)
    with pytest.raises(returns.CannotReturn, match=sentence):
        ask(order, units)
    assert Order.objects.get().version == version
    assert len(testing.stated(catalogue.OrderReturned)) == 1
    assert not ReturnRequest.objects.exists()


def test_copies_that_were_cancelled_before_cannot_be_returned() -> None:
    order = Order.objects.get(pk=placement.place(draft(units={SKU: 2})).order_id)
    with transaction.atomic():
        order.move_to(Status.PAID, at=order.placed_at)
        order.held_at = order.confirmed_at = order.placed_at
        Order.objects.write([order])
        parcels.pack(order_ids=[order.pk])
    with transaction.atomic():
        cancellation.cancel_lines(order_id=order.pk, units={SKU: 1}, reason="damaged", by="ada")
        parcels.ship(order_ids=[order.pk], by="carrier")
    with pytest.raises(returns.CannotReturn, match="has 1 copies"):
        accept(order, {SKU: 2})
    accept(order, {SKU: 1})
    assert paid_back() == [1250]


def test_only_what_has_left_is_returned() -> None:
    pending = Order.objects.get(pk=placement.place(draft()).order_id)
    with pytest.raises(returns.CannotReturn, match="is PENDING"):
        accept(pending, {SKU: 1})
    with pytest.raises(returns.CannotReturn, match="is PENDING"):
        ask(pending, {SKU: 1})
    with pytest.raises(UnknownOrder), transaction.atomic():
        returns.accept_return(order_id=uuid.uuid4(), units={SKU: 1}, reason="x", by="grace")


def test_a_wish_is_answered_once() -> None:
    order = shipped()
    request = ask(order, {SKU: 2})
    with pytest.raises(returns.CannotReturn, match="asked for already"):
        ask(order, {OTHER: 1})
    accept(order, {SKU: 1}, request.pk)
    with pytest.raises(returns.CannotReturn, match="answered already"):
        accept(order, {SKU: 1}, request.pk)
    with pytest.raises(returns.CannotReturn, match="answered already"), transaction.atomic():
        returns.decline_return(request_id=request.pk, answer="no", by="grace")
    request.refresh_from_db()
    assert (request.state, request.answer, request.answered_by) == ("accepted", "damaged", "grace")
    assert request.answered_at is not None
    assert trail(order)[0] == ("return asked for", f"2 x {SKU}: pages are missing")
    assert paid_back() == [1250]


def test_a_wish_of_another_order_is_not_answered() -> None:
    order, other = shipped(), shipped()
    request = ask(other, {SKU: 1})
    with pytest.raises(returns.CannotReturn, match="answered already"):
        accept(order, {SKU: 1}, request.pk)
    assert testing.stated(catalogue.OrderReturned) == []


def test_declining_tells_the_buyer_why_each_time() -> None:
    order = shipped()
    long_answer = "The parcel shows no damage. " * 10
    for answer in (long_answer, "Still not."):
        request = ask(order, {SKU: 1})
        with transaction.atomic():
            returns.decline_return(request_id=request.pk, answer=answer, by="grace")
        request.refresh_from_db()
        assert (request.state, request.answer) == ("declined", answer)
    assert testing.stated(catalogue.OrderReturned) == []
    assert [mail.number for mail in OrderMail.objects.filter(kind="kept").order_by("id")] == [1, 2]
    while mail_sending.send_due():
        pass
    first, second = mail.outbox
    assert first.subject == f"Return declined: {order.reference}"
    assert long_answer in first.body
    assert "Still not." in second.body
    with pytest.raises(returns.CannotReturn, match="no return 0"), transaction.atomic():
        returns.decline_return(request_id=0, answer="no", by="grace")


def test_what_is_paid_back_is_mailed() -> None:
    order = shipped()
    accept(order, {SKU: 2})
    said = testing.stated(catalogue.OrderReturned)
    for offset in (0, 10):  # the second time as messages that are new, and say nothing new
        testing.give("notifications", *said, topic_offset=offset)
    while mail_sending.send_due():
        pass
    [sent] = mail.outbox
    assert sent.subject == f"Return accepted: {order.reference}"
    assert "We pay you back 25.00 USD for copies of your order: damaged." in sent.body


def test_two_people_cannot_pay_the_same_copies_back() -> None:
    order = shipped({SKU: 4})

    def try_it(_: int) -> bool:
        try:
            accept(order, {SKU: 3})
        except returns.CannotReturn:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as people:
        outcomes = list(people.map(try_it, range(8)))
    assert sorted(outcomes) == [False] * 7 + [True]
    assert [line.returned for line in order.lines.all()] == [3]
    assert paid_back() == [3750]
