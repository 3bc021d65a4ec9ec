"""Whole stories, in both flows: straight, with every message twice, and in permuted order."""

from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.db.models import F

from devtools.testing.shop import stories
from devtools.testing.shop.orders import SKU, draft
from events import catalogue
from inventory.models import Reservation, Stock
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from orders.actions import cancellation
from orders.models import Order, OrderMail, Shipment, Status
from orders.placing import placement
from payments.models import Charge, Refund
from shop.models import BookSales, DailySales

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_world")]


@pytest.fixture(params=stories.deliveries(seeds=6))
def broker(request: pytest.FixtureRequest) -> testing.MemoryBroker:
    """Every test below runs once for each way of delivering."""
    return testing.MemoryBroker(**request.param)


@pytest.fixture(params=catalogue.FLOWS)
def flow(request: pytest.FixtureRequest) -> str:
    """Both flows."""
    return str(request.param)


def test_an_order_goes_all_the_way(broker: testing.MemoryBroker, flow: str) -> None:
    stories.stock(**{f"s{SKU}": 5, f"s{stories.OTHER}": 5})
    placed = placement.place(draft(flow=flow, units={SKU: 2, stories.OTHER: 1}))
    broker.drain()

    order = Order.objects.get(pk=placed.order_id)
    assert (order.status, order.flow, order.is_final) == (Status.DELIVERED, flow, True)
    assert order.payment_reference.startswith("sbx_pay_")
    assert stories.counts(SKU) == (5, 0, 2)
    assert stories.counts(stories.OTHER) == (5, 0, 1)
    assert [m.kind for m in order.mails.order_by("id")] == ["confirmed", "shipped", "delivered"]
    assert sorted(m.subject for m in mail.outbox) == sorted(
        f"{label}: {order.reference}" for label in ("Order confirmed", "Parcel on its way", "Parcel delivered")
    )
    assert Shipment.objects.get(order=order).tracking_number in str([m.body for m in mail.outbox])
    day = DailySales.objects.get()
    assert (day.confirmed, day.shipped, day.delivered, day.cancelled, day.units, day.revenue_minor) == (
        1, 1, 1, 0, 3, 3750,
    )  # fmt: skip
    assert dict(BookSales.objects.values_list("sku", "units")) == {SKU: 2, stories.OTHER: 1}
    assert sorted(event.TYPE for event in testing.stated()) == [
        "inventory.reserved",
        "order.confirmed",
        "order.created",
        "order.delivered",
        "order.shipped",
        "payment.confirmed",
    ]
    assert stories.books_balance()


@pytest.mark.parametrize(
    ("card", "reason"), [("pm_declined", "card declined"), ("pm_insufficient_funds", "insufficient funds")]
)
def test_a_refused_card_cancels_and_gives_the_stock_back(
    broker: testing.MemoryBroker, flow: str, card: str, reason: str
) -> None:
    stories.stock(**{f"s{SKU}": 5})
    placed = placement.place(draft(flow=flow, payment_method=card))
    broker.drain()

    order = Order.objects.get(pk=placed.order_id)
    assert (order.status, order.cancel_reason, order.is_final) == (
        Status.CANCELLED, f"payment failed: {reason}", True,
    )  # fmt: skip
    assert stories.counts(SKU) == (5, 0, 0)
    assert [m.kind for m in order.mails.all()] == ["cancelled"]
    assert not testing.stated(catalogue.OrderConfirmed)
    assert stories.books_balance()


def test_out_of_stock_cancels_and_takes_or_returns_the_money(broker: testing.MemoryBroker, flow: str) -> None:
    """No stock after the payment is exactly one refund."""
    stories.stock(**{f"s{SKU}": 5, f"s{stories.OTHER}": 1})
    placed = placement.place(draft(flow=flow, units={SKU: 1, stories.OTHER: 2}))
    broker.drain()

    order = Order.objects.get(pk=placed.order_id)
    assert (order.status, order.cancel_reason, order.is_final) == (Status.CANCELLED, "out of stock", True)
    assert stories.counts(SKU) == (5, 0, 0), "all lines or none"
    assert stories.counts(stories.OTHER) == (1, 0, 0)
    paid = flow == catalogue.PAYMENT_FIRST
    assert Refund.objects.filter(state="succeeded").count() == int(paid)
    assert bool(order.refunded_at) is paid
    assert stories.books_balance()


def test_the_last_unit_is_sold_once(broker: testing.MemoryBroker, flow: str) -> None:
    stories.stock(**{f"s{SKU}": 3})
    placed = [placement.place(draft(flow=flow)) for _ in range(8)]
    broker.drain()

    ended = sorted(Order.objects.filter(pk__in=[p.order_id for p in placed]).values_list("status", flat=True))
    assert ended == ["CANCELLED"] * 5 + ["DELIVERED"] * 3
    assert stories.counts(SKU) == (3, 0, 3)
    assert stories.books_balance()


def test_both_flows_at_once(broker: testing.MemoryBroker) -> None:
    stories.stock(**{f"s{SKU}": 50})
    for number in range(10):
        placement.place(draft(flow=catalogue.FLOWS[number % 2]))
    broker.drain()
    assert set(Order.objects.values_list("status", flat=True)) == {"DELIVERED"}
    assert stories.counts(SKU) == (50, 0, 10)
    assert stories.books_balance()


@pytest.mark.parametrize("deliveries_before", [0, 1, 2, 3, 5, 8, 12])
def test_a_cancellation_at_any_moment_leaves_nothing_behind(
    broker: testing.MemoryBroker, flow: str, deliveries_before: int, settings: Any
) -> None:
    """Whatever was held is free again, whatever was taken is returned, whether the cancellation came early or late."""
    settings.CARRIER_SHIP_DELAY_SECONDS = 3600
    stories.stock(**{f"s{SKU}": 5})
    placed = placement.place(draft(flow=flow))
    broker.advance(deliveries_before)
    with transaction.atomic():
        cancellation.cancel(order_id=placed.order_id, reason="changed my mind", by="ada")
    broker.drain()

    stories.to_the_end(broker)

    order = Order.objects.get(pk=placed.order_id)
    assert (order.status, order.cancel_reason, order.is_final) == (Status.CANCELLED, "changed my mind", True)
    assert stories.counts(SKU) == (5, 0, 0)
    charge = Charge.objects.get(order_id=order.pk)
    assert charge.refunds.count() == int(charge.state == Charge.State.SUCCEEDED)
    assert not Shipment.objects.filter(order=order).exclude(state="stopped").exists()
    assert stories.books_balance()


def test_an_overdue_order_is_cancelled_and_all_is_given_back(
    broker: testing.MemoryBroker, flow: str, settings: Any
) -> None:
    stories.stock(**{f"s{SKU}": 5})
    settings.ORDER_DEADLINE_SECONDS = -1
    placed = placement.place(draft(flow=flow))
    broker.advance(2)
    with transaction.atomic():
        ended = cancellation.cancel_overdue()
    broker.drain()
    order = Order.objects.get(pk=placed.order_id)
    if ended:
        assert (order.status, order.cancel_reason) == (Status.CANCELLED, "not completed in time")
        assert stories.counts(SKU) == (5, 0, 0)
    else:
        assert order.is_confirmed, "only a confirmed order outlives its deadline"
    assert stories.books_balance()


def test_no_group_needs_another_to_be_up(flow: str) -> None:
    """Each group in turn hears of everything only after all others are done."""
    stories.stock(**{f"s{SKU}": 50})
    for late in [group.name for group in registry.groups()]:
        placed = placement.place(draft(flow=flow))
        all_groups = {group.name for group in registry.groups()}
        broker = testing.MemoryBroker(groups=all_groups - {late})
        broker.drain()
        latecomer = testing.MemoryBroker(groups=all_groups, logs=broker.logs, positions=broker.positions)
        latecomer.drain()
        assert Order.objects.get(pk=placed.order_id).status == Status.DELIVERED, f"{late} came last"
        assert OrderMail.objects.filter(order=placed.order_id).count() == 3


def test_nothing_is_oversold_by_the_database_itself() -> None:
    stories.stock(**{f"s{SKU}": 1})
    with pytest.raises(Exception, match="stock_never_oversold"), transaction.atomic():
        Stock.objects.update(held=F("held") + 2)
    assert Reservation.objects.count() == 0
