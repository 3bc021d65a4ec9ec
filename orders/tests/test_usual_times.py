"""Orders that wait longer than usual: whether their buyers are told, and what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events import catalogue
from orders import usual_times
from orders.models import Order, PaymentWait, Status

pytestmark = pytest.mark.operations
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"status": Status.PENDING}, "Setting your books aside"),
        ({"status": Status.PENDING, "held_at": LONG_AGO}, "Your payment"),
        ({"status": Status.PENDING, "flow": catalogue.PAYMENT_FIRST}, "Your payment"),
        ({"status": Status.PAID, "flow": catalogue.PAYMENT_FIRST, "paid_at": LONG_AGO}, "Setting your books aside"),
        ({"status": Status.PAID, "paid_at": LONG_AGO, "confirmed_at": LONG_AGO}, "Shipping"),
        ({"status": Status.SHIPPED, "shipped_at": LONG_AGO, "confirmed_at": LONG_AGO}, "Delivery"),
        ({"status": Status.CANCELLED, "payment_reference": "ch_1", "cancelled_at": LONG_AGO}, "Your refund"),
    ],
)
def test_the_buyer_is_told_what_takes_long(fields: dict[str, Any], told: str) -> None:
    order = Order(placed_at=LONG_AGO, **{"flow": catalogue.RESERVE_FIRST, **fields})
    assert usual_times.slow_sentence(order, NOW).startswith(told)
    assert usual_times.slow_sentence(order, LONG_AGO + timedelta(seconds=usual_times.SLACK_SECONDS)) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.PENDING, "held_at": LONG_AGO, "payment_wait": PaymentWait.ACTION},
        {"status": Status.PENDING, "held_at": LONG_AGO, "payment_wait": PaymentWait.UNKNOWN},
        {"status": Status.CANCELLED, "cancelled_at": LONG_AGO},
        {"status": Status.CANCELLED, "payment_reference": "ch_1", "cancelled_at": LONG_AGO, "refunded_at": LONG_AGO},
        {"status": Status.DELIVERED, "confirmed_at": LONG_AGO, "shipped_at": LONG_AGO, "delivered_at": LONG_AGO},
    ],
)
def test_nothing_is_said_where_it_is_the_buyers_turn_or_nothing_is_to_come(fields: dict[str, Any]) -> None:
    order = Order(placed_at=LONG_AGO, **{"flow": catalogue.RESERVE_FIRST, **fields})
    assert usual_times.slow_sentence(order, NOW) == ""
