"""Reading orders: what pages, sockets and the admin show."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from orders import messages, timeline
from orders.models import Order, ReturnRequest, Shipment


def orders_of(user_id: int) -> QuerySet[Order]:
    """A buyer's orders, newest first."""
    return Order.objects.filter(user_id=user_id).order_by("-placed_at")


def is_placed(idempotency_key: UUID) -> bool:
    """Whether there is an order under this key."""
    return Order.objects.filter(idempotency_key=idempotency_key).exists()


def snapshot(order_id: UUID) -> dict[str, Any] | None:
    """Everything the order's page shows of its state, or None where there is no such order.

    One JSON-able dict: `order reference version status final headline detail reason payment_reference payment_wait
    payment_url payment_until payment_seconds_left tracking_number reductions returned_minor returns paid_back_minor
    steps`. `payment_wait` is "action" (the buyer confirms at `payment_url`, until then) or "unknown" or "". Amounts
    are in minor units: `returned_minor` is what copies cost that were cancelled, `paid_back_minor` what those cost
    that came back; `reductions` and `returns` grow whenever something about either changes. `steps` is the timeline,
    each `{code, label, state, at}`, the state being done, current, waiting or failed.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        return None
    shipment = Shipment.objects.filter(order=order).first()
    told = timeline.read_trail(order)
    steps = timeline.steps(order, told)
    cancelled_minor, paid_back_minor = timeline.money_back(order) if told else (0, 0)
    return {
        "order": str(order.pk),
        "reference": order.reference,
        "version": order.version,
        "status": order.status,
        "final": order.is_final and not any(timeline.is_open(step) for step in steps),
        "headline": messages.headline(order),
        "detail": messages.detail(order),
        "reason": order.cancel_reason,
        "payment_reference": order.payment_reference,
        **_payment_wait(order),
        "tracking_number": shipment.tracking_number if shipment and order.shipped_at else "",
        "reductions": sum(what == timeline.REDUCED for what, _ in told),
        "returned_minor": cancelled_minor,
        "returns": sum(what in timeline.OF_RETURNS for what, _ in told),
        "paid_back_minor": paid_back_minor,
        "steps": steps,
    }


def returns_of(order_id: UUID) -> QuerySet[ReturnRequest]:
    """What the buyer asked to return, newest first."""
    return ReturnRequest.objects.filter(order=order_id)


def _payment_wait(order: Order) -> dict[str, Any]:
    until = order.payment_until
    left = (until - timezone.now()).total_seconds() if until else None
    return {
        "payment_wait": order.payment_wait,
        "payment_url": order.payment_url if is_web_address(order.payment_url) else "",
        "payment_until": until.isoformat() if until else None,
        "payment_seconds_left": max(0, round(left)) if left is not None else None,
    }


def is_web_address(url: str) -> bool:
    """Whether a browser may be sent there: http or https, whatever an event says."""
    return urlsplit(url).scheme in ("http", "https")
