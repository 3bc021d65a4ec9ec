"""A payment.confirmed moves an order only if payments' own books say the same."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import transaction

from devtools.testing.shop.orders import CHARGE, SKU, draft
from events import catalogue
from kafka_bridge import testing
from orders.actions import cancellation, parcels
from orders.models import Order, Status
from orders.placing import placement

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
OTHER = "9780000000026"


def place(**changes: Any) -> Order:
    """Two copies, 25.00 USD."""
    return Order.objects.get(pk=placement.place(draft(units={SKU: 2}, **changes)).order_id)


def confirmed(order: Order, **changes: Any) -> catalogue.PaymentConfirmed:
    """What payments says of it, unless changed."""
    fact = catalogue.PaymentConfirmed(
        order_id=order.pk, flow=order.flow, charge_id=CHARGE, transaction_id="t1", amount_minor=2500, currency="USD",
        payment_method="pm_success", lines=(),
    )  # fmt: skip
    return msgspec.structs.replace(fact, **changes)


def nothing_taken(_: Any) -> dict[UUID, tuple[UUID, int, str]]:
    """Books in which no order was paid."""
    return {}


def less_taken(order_ids: Any) -> dict[UUID, tuple[UUID, int, str]]:
    """Books in which a cent is missing."""
    return dict.fromkeys(order_ids, (CHARGE, 2499, "USD"))


def in_euro(order_ids: Any) -> dict[UUID, tuple[UUID, int, str]]:
    """Books in another currency."""
    return dict.fromkeys(order_ids, (CHARGE, 2500, "EUR"))


@pytest.mark.parametrize(
    ("changes", "books", "why"),
    [
        ({"amount_minor": 2499}, "", "24.99 USD were stated, and the order came to 25.00 USD"),
        ({"amount_minor": 250_000}, "", "2500.00 USD were stated, and the order came to 25.00 USD"),
        ({"currency": "EUR"}, "", "25.00 EUR were stated, and the order came to 25.00 USD"),
        ({"charge_id": UUID(int=8)}, "", f"charge {UUID(int=8)} was stated, and the order's is {CHARGE}"),
        ({}, "nothing_taken", "payments knows of no money that was taken for this order"),
        ({}, "less_taken", "25.00 USD were stated, and 24.99 USD were taken"),
        ({}, "in_euro", "25.00 USD were stated, and 25.00 EUR were taken"),
    ],
)
@pytest.mark.parametrize("status", [Status.PENDING, Status.CANCELLED])
def test_a_payment_that_does_not_match_moves_nothing(
    status: Status, changes: dict[str, Any], books: str, why: str, settings: Any
) -> None:
    """FAILURES 27: a stranger produces events."""
    if books:
        settings.ORDERS_PAYMENT_CHECK = f"{__name__}.{books}"
    order = place()
    if status == Status.CANCELLED:
        with transaction.atomic():
            cancellation.cancel(order_id=order.pk, reason="changed my mind", by="ada")
    before = Order.objects.filter(pk=order.pk).values("status", "payment_reference", "paid_at").get()
    fact = confirmed(order, **changes)
    testing.give("orders", fact)
    assert testing.give("orders", fact) == 0, "the second delivery is none"
    assert Order.objects.filter(pk=order.pk).values("status", "payment_reference", "paid_at").get() == before
    assert testing.stated(catalogue.OrderPaymentRefused) == [
        catalogue.OrderPaymentRefused(
            order_id=order.pk, flow=order.flow, charge_id=fact.charge_id, amount_minor=fact.amount_minor,
            currency=fact.currency, why=why,
        )
    ]  # fmt: skip
    assert order.trail.order_by("-id").values_list("what", "answer", "status", "detail")[0] == (
        "payment.confirmed", "illegal", status, f"not believed: {why}",
    )  # fmt: skip


def test_a_true_one_beside_a_false_one_is_believed() -> None:
    """Both in one batch, for one order and for two."""
    order, other = place(), place()
    testing.give("orders", confirmed(order, charge_id=uuid4()), confirmed(order), confirmed(other, amount_minor=1))
    assert list(Order.objects.order_by("id").values_list("status", flat=True)) == ["PAID", "PENDING"]
    assert len(testing.stated(catalogue.OrderPaymentRefused)) == 2


def test_a_late_second_one_is_believed_after_the_order_was_reduced() -> None:
    """The money was taken for all copies, also for those that were cancelled since."""
    order = Order.objects.get(pk=placement.place(draft(units={SKU: 1, OTHER: 1})).order_id)
    held = catalogue.InventoryReserved(
        order_id=order.pk, flow=order.flow, lines=(), total_minor=2500, currency="USD", payment_method="pm_success"
    )
    testing.give("orders", held, confirmed(order))
    with transaction.atomic():
        parcels.pack(order_ids=[order.pk])
        cancellation.cancel_lines(order_id=order.pk, units={OTHER: 1}, reason="damaged", by="ada")
    testing.give("orders", confirmed(order), topic_offset=10)
    order.refresh_from_db()
    assert (order.status, order.total_minor) == (Status.PAID, 1250)
    assert not testing.stated(catalogue.OrderPaymentRefused)
    assert order.trail.order_by("-id").values_list("answer", flat=True)[0] == "already done"
