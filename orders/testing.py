"""Drafts for the tests of every app and for the benchmarks."""

import uuid
from collections.abc import Mapping
from typing import Any

from kafka_bridge import catalogue
from orders import checkout

SKU = "9780000000019"


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
