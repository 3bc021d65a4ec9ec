"""What the tests of orders share."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def paid_orders(settings: Any) -> None:
    """Orders knows no other app, its tests neither: the books it asks are these."""
    settings.ORDERS_PAYMENT_CHECK = "devtools.testing.shop.orders.captured"


@pytest.fixture(autouse=True)
def bank_pages(settings: Any) -> None:
    """Where buyers confirm payments in these tests."""
    settings.PAYMENT_CONFIRM_ORIGINS = ["https://bank.example"]
