"""Cancelling some copies of an order: when, how many, and what is stated."""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from devtools.testing.shop.orders import CHARGE, OTHER, SKU, confirmed, draft
from events import catalogue
from kafka_bridge import testing
from orders import queries
from orders.actions import cancellation, parcels
from orders.mailing import mail_sending
from orders.models import Order, OrderMail, Status
from orders.placing import placement
from orders.state_machine.unit_of_work import UnknownOrder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]


def reduce(order: Order, units: Mapping[str, int], reason: str = "damaged") -> Order:
    with transaction.atomic():
        return cancellation.cancel_lines(order_id=order.pk, units=units, reason=reason, by="ada")


def line(sku: str, quantity: int) -> catalogue.Line:
    return catalogue.Line(sku=sku, quantity=quantity, unit_price_minor=1250)


def test_each_reduction_states_its_own_money_and_the_units_so_far() -> None:
    order = confirmed()
    before = order.version
    assert reduce(order, {SKU: 1}).total_minor == 2500
    assert reduce(order, {OTHER: 1}, reason="out of print").total_minor == 1250
    assert testing.stated(catalogue.OrderReduced) == [
        catalogue.OrderReduced(
            order_id=order.pk, flow=order.flow, lines=(line(SKU, 1),), amount_minor=1250, reduction=1, currency="USD",
            reason="damaged", cancelled_now=(line(SKU, 1),),
        ),
        catalogue.OrderReduced(
            order_id=order.pk, flow=order.flow, lines=(line(SKU, 1), line(OTHER, 1)), amount_minor=1250, reduction=2,
            currency="USD", reason="out of print", cancelled_now=(line(OTHER, 1),),
        ),
    ]  # fmt: skip
    order.refresh_from_db()
    assert (order.status, order.total_minor, order.version) == (Status.PAID, 1250, before + 2)
    assert [(entry.what, entry.version, entry.detail) for entry in order.trail.filter(what="reduced")] == [
        ("reduced", before + 1, f"by ada: damaged (12.50 USD back, 1 x {SKU})"),
        ("reduced", before + 2, f"by ada: out of print (12.50 USD back, 1 x {OTHER})"),
    ]


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        ({}, "Say of which book"),
        ({SKU: 0}, f"has 2 copies of {SKU}, so 0 cannot"),
        ({SKU: -1}, f"has 2 copies of {SKU}, so -1 cannot"),
        ({SKU: 3}, f"has 2 copies of {SKU}, so 3 cannot"),
        ({SKU: 1, "9780000000033": 1}, "has 0 copies of 9780000000033"),
        ({SKU: 2, OTHER: 1}, "cancel the whole order instead"),
    ],
)
def test_what_an_order_does_not_have_cannot_be_cancelled(units: dict[str, int], sentence: str) -> None:
    order = confirmed()
    with pytest.raises(cancellation.CannotCancel, match=sentence):
        reduce(order, units)
    assert list(Order.objects.values_list("total_minor", "version")) == [(3750, order.version)]
    assert testing.stated(catalogue.OrderReduced) == []


def test_what_is_left_is_the_most_that_can_be_cancelled() -> None:
    order = confirmed()
    reduce(order, {SKU: 1})
    with pytest.raises(cancellation.CannotCancel, match="has 1 copies"):
        reduce(order, {SKU: 2})
    with pytest.raises(cancellation.CannotCancel, match="whole order"):
        reduce(order, {SKU: 1, OTHER: 1})
    assert reduce(order, {OTHER: 1}).total_minor == 1250
    with pytest.raises(cancellation.CannotCancel, match="whole order"):
        reduce(order, {SKU: 1})


def test_only_an_order_that_is_confirmed_and_not_shipped_is_reduced() -> None:
    pending = Order.objects.get(pk=placement.place(draft(units={SKU: 2})).order_id)
    with pytest.raises(cancellation.CannotCancel, match="is PENDING"):
        reduce(pending, {SKU: 1})
    shipped, cancelled = confirmed(), confirmed()
    with transaction.atomic():
        parcels.ship(order_ids=[shipped.pk], by="staff")
        cancellation.cancel(order_id=cancelled.pk, reason="changed my mind", by="ada")
    for order, status in ((shipped, "SHIPPED"), (cancelled, "CANCELLED")):
        with pytest.raises(cancellation.CannotCancel, match=f"is {status}"):
            reduce(order, {SKU: 1})
    with pytest.raises(UnknownOrder), transaction.atomic():
        cancellation.cancel_lines(order_id=uuid.uuid4(), units={SKU: 1}, reason="x", by="ada")


def test_the_end_of_a_reduced_order_tells_only_what_it_still_had() -> None:
    order = confirmed()
    reduce(order, {SKU: 1, OTHER: 1})
    with transaction.atomic():
        cancellation.cancel(order_id=order.pk, reason="changed my mind", by="ada")
    assert testing.stated(catalogue.OrderCancelled) == [
        catalogue.OrderCancelled(
            order_id=order.pk, flow=order.flow, reason="changed my mind", total_minor=1250, currency="USD",
            was_confirmed=True, lines=(line(SKU, 1),),
        )
    ]  # fmt: skip


def test_two_people_cannot_cancel_the_same_copies() -> None:
    order = confirmed({SKU: 4, OTHER: 1})

    def try_it(_: int) -> bool:
        try:
            reduce(order, {SKU: 3})
        except cancellation.CannotCancel:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as people:
        outcomes = list(people.map(try_it, range(8)))
    assert sorted(outcomes) == [False] * 7 + [True]
    assert [line.cancelled for line in order.lines.all()] == [3, 0]
    assert Order.objects.get().total_minor == 2500


def test_a_reduction_and_the_carrier_are_one_after_the_other() -> None:
    for _ in range(10):
        order = confirmed()

        def reduce_it(order: Order = order) -> bool:
            try:
                reduce(order, {SKU: 1})
            except cancellation.CannotCancel:
                return False
            else:
                return True
            finally:
                connection.close()

        def ship_it(order: Order = order) -> list[Order]:
            try:
                with transaction.atomic():
                    return parcels.ship(order_ids=[order.pk], by="carrier")
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as people:
            reduced, shipped = people.submit(reduce_it), people.submit(ship_it)
        assert [found.pk for found in shipped.result()] == [order.pk]
        types = [event.TYPE for event in testing.stated() if event.key == str(order.pk)]
        assert types == ["order.created", *(["order.reduced"] if reduced.result() else []), "order.shipped"]


def refunded(order: Order, number: int, left_minor: int) -> catalogue.PaymentRefunded:
    return catalogue.PaymentRefunded(
        order_id=order.pk, flow=order.flow, charge_id=CHARGE, refund_id=uuid.uuid4(), amount_minor=1250,
        currency="USD", reason="test", left_minor=left_minor, number=number,
    )  # fmt: skip


def test_a_cancelled_order_is_refunded_once_all_of_its_money_is_back() -> None:
    order = confirmed()
    reduce(order, {SKU: 1})
    testing.give("orders", refunded(order, 1, 2500))
    with transaction.atomic():
        cancellation.cancel(order_id=order.pk, reason="changed my mind", by="ada")
    testing.give("orders", refunded(order, 2, 1250), topic_offset=1)
    order.refresh_from_db()
    assert (order.refunded_at, order.is_final) == (None, False)
    assert list(order.trail.order_by("-id").values_list("what", "answer", "detail")[:1]) == [
        ("payment.refunded", "too early", "12.50 USD: test; 12.50 USD are left")
    ]
    testing.give("orders", refunded(order, 3, 0), topic_offset=2)
    order.refresh_from_db()
    assert (order.refunded_at is not None, order.is_final) == (True, True)


def test_there_is_a_mail_for_each_time() -> None:
    order = confirmed()
    reduce(order, {SKU: 1})
    reduce(order, {OTHER: 1}, reason="out of print")
    said = testing.stated(catalogue.OrderReduced)
    for offset in (0, 10):  # the second time as messages that are new, and say nothing new
        testing.give("notifications", *said, refunded(order, 1, 2500), topic_offset=offset)
    assert list(OrderMail.objects.order_by("id").values_list("kind", "number", "amount_minor", "reason")) == [
        ("reduced", 1, 1250, "damaged"), ("reduced", 2, 1250, "out of print"), ("refunded", 1, 1250, ""),
    ]  # fmt: skip
    while mail_sending.send_due():
        pass
    assert OrderMail.objects.filter(sent_at=None).count() == 0


def test_the_page_of_a_reduced_order_says_what_was_cancelled_and_what_goes_back() -> None:
    order = confirmed()
    reduce(order, {SKU: 1})
    shown = queries.snapshot(order.pk)
    assert shown is not None
    assert [(step.code, step.state) for step in shown.steps] == [
        ("placed", "done"), ("held", "done"), ("paid", "done"), ("confirmed", "done"),
        ("reduced", "done"), ("part_refunded", "current"), ("shipped", "current"), ("delivered", "waiting"),
    ]  # fmt: skip
    assert (shown.returned_minor, shown.reductions) == (1250, 1)
    testing.give("orders", refunded(order, 1, 2500))
    shown = queries.snapshot(order.pk)
    assert shown is not None
    assert [step.state for step in shown.steps if step.code == "part_refunded"] == ["done"]
