"""Drafts for the tests of every app and for the benchmarks, and books of payments for orders' own tests."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from kafka_bridge import catalogue
from orders import checkout
from orders.models import Order

SKU = "9780000000019"
CHARGE = uuid.UUID(int=7)
"""The charge of every order in orders' own tests."""


def draft(*, units: Mapping[str, int] | None = None, price_minor: int = 1250, **changes: Any) -> checkout.Draft:
    """A draft that would be accepted; `units` by sku, anything else by name."""
    fields: dict[str, Any] = {
        "idempotency_key": uuid.uuid4(),
        "lines": tuple(
            checkout.DraftLine(sku=sku, title=f"Book {sku}", unit_price_minor=price_minor, quantity=quantity)
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
    return checkout.Draft(**(fields | changes))


def captured(order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[uuid.UUID, int, str]]:
    """Stands in for payments where there is none: every order was paid with `CHARGE`, before it was reduced.

    For `settings.ORDERS_PAYMENT_CHECK`.
    """
    orders = Order.objects.filter(pk__in=order_ids).prefetch_related("lines")
    return {
        order.pk: (CHARGE, sum(line.quantity * line.unit_price_minor for line in order.lines.all()), order.currency)
        for order in orders
    }
