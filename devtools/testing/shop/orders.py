"""Drafts and orders for the tests of every app and for the benchmarks, and books of payments for orders' own tests."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from events import catalogue
from orders import prices
from orders.actions import parcels
from orders.models import Order, Status
from orders.placing import placement

SKU = "9780000000019"
OTHER = "9780000000026"
CHARGE = uuid.UUID(int=7)
"""The charge of every order in orders' own tests."""


def draft(*, units: Mapping[str, int] | None = None, price_minor: int = 1250, **changes: Any) -> placement.Draft:
    """A draft that would be accepted; `units` by sku, anything else by name."""
    fields: dict[str, Any] = {
        "idempotency_key": uuid.uuid4(),
        "lines": tuple(
            placement.DraftLine(sku=sku, title=f"Book {sku}", unit_price_minor=price_minor, quantity=quantity)
            for sku, quantity in (units or {SKU: 1}).items()
        ),
        "currency": "USD",
        "flow": catalogue.RESERVE_FIRST,
        "payment_method": "pm_success",
        "name": "Ada Reader",
        "email": "ada@example.com",
        "address_line1": "1 Shelf Lane",
        "city": "Booktown",
        "postcode": "12345",
        "country": "US",
    }
    return placement.Draft(**(fields | changes))


def captured(order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[uuid.UUID, int, str]]:
    """Stands in for payments where there is none: every order was paid with `CHARGE`, before it was reduced.

    For `settings.ORDERS_PAYMENT_CHECK`.
    """
    orders = Order.objects.filter(pk__in=order_ids).prefetch_related("lines")
    return {order.pk: (CHARGE, prices.placed_minor(order, order.lines.all()), order.currency) for order in orders}


def confirmed(units: Mapping[str, int] | None = None) -> Order:
    """An order that is paid, held and packed; by default two copies of one book and one of another, 12.50 each."""
    order = Order.objects.get(pk=placement.place(draft(units=units or {SKU: 2, OTHER: 1})).order_id)
    with transaction.atomic():
        order.move_to(Status.PAID, at=order.placed_at)
        order.payment_reference = "sbx_ch_1"
        order.held_at = order.confirmed_at = order.placed_at
        Order.objects.write([order])
        parcels.pack(order_ids=[order.pk])
    return order
