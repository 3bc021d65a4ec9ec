"""Stories of orders of which some copies are cancelled: exactly those go back on the shelf, and exactly their money."""

from uuid import UUID

import pytest
from django.core import mail
from django.db import transaction

from devtools.testing.shop import stories
from devtools.testing.shop.orders import SKU, draft
from devtools.testing.shop.shop_at_rest import broken
from events import catalogue
from inventory.models import Hold
from inventory.redis_counters import counter_sync
from kafka_bridge import testing
from orders.actions import cancellation, parcels
from orders.models import Order, Status
from orders.placing import placement
from payments.models import Refund
from shop.models import BookSales, DailySales

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.usefixtures("slow_carrier")]


@pytest.fixture(params=stories.deliveries(seeds=6))
def broker(request: pytest.FixtureRequest) -> testing.MemoryBroker:
    """Every story below is told once for each way of delivering."""
    return testing.MemoryBroker(**request.param)


@pytest.fixture(params=catalogue.FLOWS)
def flow(request: pytest.FixtureRequest) -> str:
    """Both flows."""
    return str(request.param)


def place(flow: str) -> UUID:
    """Three copies of one book and two of another, ten of each on the shelf; 12.50 a copy."""
    stories.stock(**{f"s{SKU}": 10, f"s{stories.OTHER}": 10})
    return placement.place(draft(flow=flow, units={SKU: 3, stories.OTHER: 2})).order_id


def reduce(order_id: UUID, units: dict[str, int], reason: str = "damaged") -> None:
    """Cancel these copies."""
    with transaction.atomic():
        cancellation.cancel_lines(order_id=order_id, units=units, reason=reason, by="ada")


def cancel(order_id: UUID) -> None:
    """Cancel the rest."""
    with transaction.atomic():
        cancellation.cancel(order_id=order_id, reason="changed my mind", by="ada")


def refunds() -> list[tuple[str, int]]:
    """All money that went back, at the gateway, with our reasons."""
    keys = {str(refund.pk): refund.reason for refund in Refund.objects.filter(state="succeeded")}
    return sorted(
        (keys[entry.key], entry.amount_minor) for entry in stories.the_bank().entries() if entry.kind == "refund"
    )


def sales() -> tuple[int, int, int, dict[str, tuple[int, int]]]:
    """What analytics has counted: cancelled orders, units, revenue; and by book units and revenue."""
    day = DailySales.objects.get()
    books = {row.sku: (row.units, row.revenue_minor) for row in BookSales.objects.all()}
    return day.cancelled, day.units, day.revenue_minor, books


def mails() -> list[str]:
    """What the buyer was sent, by subject."""
    return sorted(message.subject.partition(":")[0] for message in mail.outbox)


def audit() -> dict[str, int]:
    """What the audit of a shop at rest finds: stock, ledger, counters, orders and money are exact if it is empty."""
    counter_sync.sync()
    return broken()


def test_some_copies_are_cancelled_and_the_rest_arrives(broker: testing.MemoryBroker, flow: str) -> None:
    order_id = place(flow)
    broker.drain()
    reduce(order_id, {SKU: 1})
    broker.drain()

    order = Order.objects.get(pk=order_id)
    assert (order.status, order.total_minor, order.refunded_at) == (Status.PAID, 5000, None)
    assert {line.sku: (line.quantity, line.cancelled) for line in order.lines.all()} == {
        SKU: (3, 1),
        stories.OTHER: (2, 0),
    }
    assert (stories.counts(SKU), stories.counts(stories.OTHER)) == ((10, 0, 2), (10, 0, 2))
    assert {hold.sku: hold.given_back for hold in Hold.objects.all()} == {SKU: 1, stories.OTHER: 0}
    assert refunds() == [("reduction 1: damaged", 1250)]
    assert sales() == (0, 4, 5000, {SKU: (2, 2500), stories.OTHER: (2, 2500)})
    assert stories.books_balance()
    with transaction.atomic():
        parcels.ship(order_ids=[order_id], by="staff")
        parcels.deliver(order_ids=[order_id], by="staff")
    broker.drain()
    order.refresh_from_db()
    assert (order.status, order.is_final) == (Status.DELIVERED, True)
    assert mails() == [
        "Money refunded", "Order confirmed", "Parcel delivered", "Parcel on its way", "Part of the order cancelled",
    ]  # fmt: skip
    parcel = next(message.body for message in mail.outbox if message.subject.startswith("Parcel on its way"))
    assert "2 × Book 9780000000019 (1 cancelled)\n  2 × Book 9780000000026\nTotal: 50.00 USD" in parcel  # noqa: RUF001
    assert stories.books_balance()
    assert audit() == {}


def test_copies_are_cancelled_again_and_again(broker: testing.MemoryBroker, flow: str) -> None:
    order_id = place(flow)
    broker.drain()
    reduce(order_id, {SKU: 1})
    reduce(order_id, {SKU: 1, stories.OTHER: 1}, reason="damaged")
    broker.drain()
    reduce(order_id, {stories.OTHER: 1}, reason="out of print")
    broker.drain()

    assert Order.objects.get().total_minor == 1250
    assert (stories.counts(SKU), stories.counts(stories.OTHER)) == ((10, 0, 1), (10, 0, 0))
    assert refunds() == [
        ("reduction 1: damaged", 1250), ("reduction 2: damaged", 2500), ("reduction 3: out of print", 1250),
    ]  # fmt: skip
    assert sales() == (0, 1, 1250, {SKU: (1, 1250), stories.OTHER: (0, 0)})
    assert mails() == ["Money refunded"] * 3 + ["Order confirmed"] + ["Part of the order cancelled"] * 3
    told = sorted(m.body.split("\n")[3].split(" USD")[0] for m in mail.outbox if m.subject.startswith("Part"))
    assert told == ["12.50", "12.50", "25.00"]
    assert stories.books_balance()
    assert audit() == {}


@pytest.mark.parametrize("is_drained_between", [True, False])
def test_what_is_left_is_cancelled_later(broker: testing.MemoryBroker, flow: str, is_drained_between: bool) -> None:
    order_id = place(flow)
    broker.drain()
    reduce(order_id, {SKU: 2})
    if is_drained_between:
        broker.drain()
    cancel(order_id)
    broker.drain()

    order = Order.objects.get()
    assert (order.status, order.is_final) == (Status.CANCELLED, True)
    assert (stories.counts(SKU), stories.counts(stories.OTHER)) == ((10, 0, 0), (10, 0, 0))
    assert refunds() == [("changed my mind", 3750), ("reduction 1: damaged", 2500)]
    assert sales() == (1, 0, 0, {SKU: (0, 0), stories.OTHER: (0, 0)})
    # The money went back in two parts; only the last of them ended the order.
    [*parts, last] = testing.stated(catalogue.PaymentRefunded)
    assert [part.left_minor > 0 for part in parts] == [True]  # type: ignore[attr-defined]
    assert last.left_minor == 0  # type: ignore[attr-defined]
    assert mails() == ["Money refunded"] * 2 + ["Order cancelled", "Order confirmed", "Part of the order cancelled"]
    assert stories.books_balance()
    assert audit() == {}


@pytest.mark.parametrize("deliveries_before", [0, 2, 4, 6, 9])
def test_copies_are_cancelled_at_any_moment_or_not_at_all(
    broker: testing.MemoryBroker, flow: str, deliveries_before: int
) -> None:
    order_id = place(flow)
    broker.advance(deliveries_before)
    is_confirmed = Order.objects.get().is_confirmed
    if is_confirmed:
        reduce(order_id, {SKU: 2, stories.OTHER: 1})
    else:
        with pytest.raises(cancellation.CannotCancel, match="confirmed"):
            reduce(order_id, {SKU: 2, stories.OTHER: 1})
    broker.drain()

    assert Order.objects.get().total_minor == (2500 if is_confirmed else 6250)
    assert (stories.counts(SKU), stories.counts(stories.OTHER)) == (
        ((10, 0, 1), (10, 0, 1)) if is_confirmed else ((10, 0, 3), (10, 0, 2))
    )
    assert refunds() == ([("reduction 1: damaged", 3750)] if is_confirmed else [])
    assert stories.books_balance()
    assert audit() == {}


def test_no_group_needs_another_to_be_up(flow: str) -> None:
    """A group that hears of a reduction only after the rest was cancelled comes to the same result."""
    order_id = place(flow)
    testing.MemoryBroker().drain()
    all_groups = {"analytics", "inventory", "notifications", "orders", "payments", "shipping"}
    for late in sorted(all_groups - {"orders"}):
        broker = testing.MemoryBroker(groups=all_groups - {late})
        reduce(order_id, {SKU: 1})
        cancel(order_id)
        broker.drain()
        testing.MemoryBroker(groups=all_groups, logs=broker.logs, positions=broker.positions).drain()
        assert stories.books_balance(), late
        assert (stories.counts(SKU)[1:], stories.counts(stories.OTHER)[1:]) == ((0, 0), (0, 0)), late
        assert sales()[1:3] == (0, 0), late
        assert audit() == {}
        order_id = place(flow)
        testing.MemoryBroker().drain()
