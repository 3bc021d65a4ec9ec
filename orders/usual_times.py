"""How long each step of an order usually takes; after that, its buyer and the operators are told that it is slow.

What waits for the buyer, or for an answer of the bank, has sentences of its own and is never slow here.
"""

from datetime import datetime, timedelta

from django.conf import settings

from events import catalogue
from orders.models import Order, Status

STOCK, PAYMENT, SHIPPING, DELIVERY, REFUND = "stock", "payment", "shipping", "delivery", "refund"
SLACK_SECONDS = 30.0
"""What a step may take beside its own delay."""

_SENTENCES = {
    STOCK: "Setting your books aside is taking longer than usual. Your order is safe; you need not do anything.",
    PAYMENT: "Your payment is taking longer than usual. Your order is safe, and you will not be charged twice.",
    SHIPPING: "Shipping is taking longer than usual. Your order is safe; we will email you as soon as it leaves.",
    DELIVERY: "Delivery is taking longer than usual. Your parcel is on its way; you need not do anything.",
    REFUND: "Your refund is taking longer than usual. Your money is safe and will come; you need not do anything.",
}


def usual_seconds(stage: str) -> float:
    """How long orders wait in this stage when all is well, at most."""
    delays: dict[str, float] = {
        SHIPPING: settings.CARRIER_SHIP_DELAY_SECONDS,
        DELIVERY: settings.CARRIER_DELIVER_DELAY_SECONDS,
    }
    return delays.get(stage, 0.0) + SLACK_SECONDS


def slow_sentence(order: Order, now: datetime) -> str:
    """For the buyer of an order that has waited longer than usual for its next step; else empty."""
    stage, since = _waits_for(order)
    if since is None or now - since <= timedelta(seconds=usual_seconds(stage)):
        return ""
    return _SENTENCES[stage]


def _waits_for(order: Order) -> tuple[str, datetime | None]:
    """What the order waits for, and since when; None where that is nobody's of the shop, or nothing."""
    match Status(order.status):
        case _ if order.payment_wait:
            return "", None
        case Status.CANCELLED:
            is_due = order.payment_reference and not order.refunded_at
            return REFUND, order.cancelled_at if is_due else None
        case Status.PENDING | Status.PAID if order.confirmed_at is None:
            return _unconfirmed(order)
        case Status.PAID:
            return SHIPPING, order.confirmed_at
        case Status.SHIPPED:
            return DELIVERY, order.shipped_at
        case _:
            return "", None


def _unconfirmed(order: Order) -> tuple[str, datetime]:
    """Held first or paid first, by the order's flow."""
    if order.flow == catalogue.PAYMENT_FIRST:
        return (STOCK, order.paid_at) if order.paid_at else (PAYMENT, order.placed_at)
    if order.paid_at:
        return STOCK, order.paid_at
    return (PAYMENT, order.held_at) if order.held_at else (STOCK, order.placed_at)
