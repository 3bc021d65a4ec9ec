"""Somebody writes to the topics of a real broker while orders go through (XB4)."""

import dataclasses
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from devtools.testing.bridge.kafka_logs import produce_all
from devtools.testing.bridge.relays import running_relay
from devtools.testing.shop import forgeries, stories
from devtools.testing.shop.orders import SKU, draft
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.models import RefusedMessage
from kafka_bridge.publishing import outbox
from orders.models import Order, Status
from orders.placing import placement
from payments.models import Charge

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.security,
    pytest.mark.usefixtures("kafka", "slow_carrier"),
]
GROUPS = ("inventory", "orders", "payments")
HEARD = 6
"""As many messages of each order these groups get."""


def test_a_stranger_at_the_broker_moves_nothing_and_orders_go_on(settings: Any) -> None:
    """XB4: money for an order that there is not, money back, stock of another's order. FAILURES 27."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, backoff_seconds=0.02)
    stories.stock(**{f"s{SKU}": 9})
    first = placement.place(draft(units={SKU: 2})).order_id
    with ExitStack() as stack:
        stack.enter_context(running_relay())
        for name in GROUPS:
            stack.enter_context(testing.consuming(name))
        confirmed(first)
        before = forgeries.books()
        common: dict[str, Any] = {"order_id": first, "flow": catalogue.RESERVE_FIRST, "currency": "USD"}
        ghost = catalogue.InventoryReserved(
            order_id=uuid4(), flow=catalogue.RESERVE_FIRST, lines=(), total_minor=3995, currency="USD",
            payment_method="pm_success",
        )  # fmt: skip
        back = catalogue.OrderReturned(**common, lines=(), amount_minor=2500, number=1, reason="mine")
        over = catalogue.OrderCancelled(**common, reason="no", total_minor=2500, was_confirmed=True)
        now = datetime.now(UTC)
        produce_all([(event, 0, now) for event in (ghost, back, over)], [uuid4() for _ in range(3)])
        listed = sum(registry.find(name).knows(type(event)) for name in GROUPS for event in (ghost, back, over))
        testing.wait_until(lambda: RefusedMessage.objects.count() == listed, what=f"{listed} refused messages")
        assert forgeries.books() == before
        confirmed(placement.place(draft(units={SKU: 1})).order_id)
    assert Charge.objects.count() == 2
    assert RefusedMessage.objects.count() == listed


def confirmed(order_id: Any) -> None:
    """Wait until it is, and every group has had what it hears of it."""
    orders = Order.objects.filter(pk=order_id, status=Status.PAID, confirmed_at__isnull=False)

    def is_confirmed() -> bool:
        for work in registry.find("payments").workers:
            work()
        return orders.exists() and outbox.backlog() == 0 and sum(map(testing.had_by, GROUPS)) % HEARD == 0

    testing.wait_until(is_confirmed, what="a confirmed order")
