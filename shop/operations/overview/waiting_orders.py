"""Orders that wait for their next step, counted by what they wait for, and told in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from events import catalogue
from orders import usual_times
from orders.models import PaymentWait, Status
from shop.operations.overview.figures import WaitingOrders

COUNT_MAX = 10_001
"""Counted no further; so many are told as more than 10,000."""
BANK = "bank"
PARAMETERS: dict[str, str | int] = {
    "payment_first": catalogue.PAYMENT_FIRST,
    "action": PaymentWait.ACTION,
    "most": COUNT_MAX,
}
# Each part goes through an index that holds nothing but such orders.
QUERY = """
SELECT stage, count(*), extract(epoch FROM now() - min(since))::float8 FROM (
    (SELECT
        CASE
            WHEN payment_wait = %(action)s THEN 'bank'
            WHEN flow = %(payment_first)s THEN CASE WHEN paid_at IS NULL THEN 'payment' ELSE 'stock' END
            WHEN paid_at IS NOT NULL THEN 'stock'
            WHEN held_at IS NOT NULL THEN 'payment'
            ELSE 'stock'
        END AS stage,
        CASE
            WHEN flow = %(payment_first)s THEN coalesce(paid_at, placed_at)
            ELSE coalesce(paid_at, held_at, placed_at)
        END AS since
    FROM orders_order WHERE confirmed_at IS NULL AND status <> 'CANCELLED' ORDER BY deadline_at LIMIT %(most)s)
    UNION ALL
    (SELECT 'shipping', confirmed_at FROM orders_order WHERE status = 'PAID' AND confirmed_at IS NOT NULL
    ORDER BY confirmed_at LIMIT %(most)s)
    UNION ALL
    (SELECT 'delivery', shipped_at FROM orders_order WHERE status = 'SHIPPED' ORDER BY shipped_at LIMIT %(most)s)
    UNION ALL
    (SELECT 'refund', cancelled_at FROM orders_order
    WHERE status = 'CANCELLED' AND refunded_at IS NULL AND payment_reference <> ''
    ORDER BY cancelled_at LIMIT %(most)s)
) AS waiting GROUP BY stage
"""


@dataclass(frozen=True, kw_only=True)
class _Stage:
    one: str
    many: str
    group: str
    filters: str
    """Of the admin's list of orders."""


_UNCONFIRMED = "progress=unconfirmed"
_STAGES: Mapping[str, _Stage] = {
    usual_times.STOCK: _Stage(
        one="order waits for its books to be set aside",
        many="orders wait for their books to be set aside",
        group="inventory",
        filters=_UNCONFIRMED,
    ),
    usual_times.PAYMENT: _Stage(
        one="order waits for its payment",
        many="orders wait for their payment",
        group="payments",
        filters=_UNCONFIRMED,
    ),
    BANK: _Stage(
        one="order waits for its buyer to confirm the payment",
        many="orders wait for their buyers to confirm the payment",
        group="",
        filters=_UNCONFIRMED,
    ),
    usual_times.SHIPPING: _Stage(
        one="paid order waits for shipping",
        many="paid orders wait for shipping",
        group="shipping",
        filters=f"status__exact={Status.PAID}",
    ),
    usual_times.DELIVERY: _Stage(
        one="shipped order waits for delivery",
        many="shipped orders wait for delivery",
        group="",
        filters=f"status__exact={Status.SHIPPED}",
    ),
    usual_times.REFUND: _Stage(
        one="cancelled order waits for its refund",
        many="cancelled orders wait for their refund",
        group="payments",
        filters="progress=refund",
    ),
}


def told(counts: Mapping[str, tuple[int, float]]) -> tuple[WaitingOrders, ...]:
    """In the order in which orders come by: those stages in which orders wait, out of numbers and oldest ages."""
    orders = reverse("admin:orders_order_changelist")
    return tuple(
        WaitingOrders(
            stage=name,
            sentence=sentence(name, *counts[name]),
            orders=counts[name][0],
            oldest_seconds=counts[name][1],
            usual_seconds=usual_seconds(name),
            group=stage.group,
            url=f"{orders}?{stage.filters}",
        )
        for name, stage in _STAGES.items()
        if name in counts
    )


def usual_seconds(stage: str) -> float:
    """How long orders wait there when all is well, at most; at the bank, as long as the buyer has."""
    return float(settings.PAYMENT_ACTION_SECONDS) if stage == BANK else usual_times.usual_seconds(stage)


def sentence(stage: str, orders: int, seconds: float) -> str:
    """Such as `17 paid orders wait for shipping, the oldest for 42 s`."""
    words = _STAGES[stage]
    if orders == 1:
        return f"1 {words.one}, for {duration(seconds)}"
    number = f"{orders:,}" if orders < COUNT_MAX else f"more than {COUNT_MAX - 1:,}"
    return f"{number} {words.many}, the oldest for {duration(seconds)}"


def duration(seconds: float) -> str:
    """Such as `42 s`, `5 min`, `3 h`, `2 days`."""
    for unit, size, least in (("days", 86_400, 2 * 86_400), ("h", 3600, 7200), ("min", 60, 120)):
        if seconds >= least:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
