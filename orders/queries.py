"""Reading orders: what pages, sockets and the admin show."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet, Sum

from kafka_bridge import catalogue
from orders import services, wording
from orders.models import Order, OrderLine, Shipment, Status, TrailEntry

Step = dict[str, str | None]


def orders_of(user_id: int) -> QuerySet[Order]:
    """A buyer's orders, newest first."""
    return Order.objects.filter(user_id=user_id).order_by("-placed_at")


def is_placed(idempotency_key: UUID) -> bool:
    """Whether there is an order under this key."""
    return Order.objects.filter(idempotency_key=idempotency_key).exists()


def snapshot(order_id: UUID) -> dict[str, Any] | None:
    """Everything the order's page shows of its state, or None where there is no such order.

    One JSON-able dict: `order reference version status final headline detail reason payment_reference tracking_number
    reductions returned_minor steps`; `reductions` is how often copies were cancelled, `returned_minor` what they cost;
    `steps` is the timeline, each `{code, label, state, at}`, the state being done, current, waiting or failed.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        return None
    shipment = Shipment.objects.filter(order=order).first()
    reductions = _reductions(order)
    return {
        "order": str(order.pk),
        "reference": order.reference,
        "version": order.version,
        "status": order.status,
        "final": order.is_final,
        "headline": wording.headline(order),
        "detail": wording.detail(order),
        "reason": order.cancel_reason,
        "payment_reference": order.payment_reference,
        "tracking_number": shipment.tracking_number if shipment and order.shipped_at else "",
        "reductions": sum(step["code"] == "reduced" for step in reductions),
        "returned_minor": _returned_minor(order) if reductions else 0,
        "steps": _steps(order, reductions),
    }


def _reductions(order: Order) -> list[Step]:
    """Copies that were cancelled, each time followed by their money; only an order that was confirmed has any."""
    if not order.is_confirmed:
        return []
    told = TrailEntry.objects.filter(order=order, what__in=(services.REDUCED, catalogue.PaymentRefunded.TYPE))
    entries = list(told.order_by("id").values_list("what", "at"))
    refunded = [at for what, at in entries if what == catalogue.PaymentRefunded.TYPE]
    steps = []
    for number, at in enumerate(at for what, at in entries if what == services.REDUCED):
        back_at = refunded[number] if number < len(refunded) else None
        steps.append(_step("reduced", "Some copies cancelled", "done", at))
        if order.status != Status.CANCELLED:  # otherwise one step tells of all the money
            steps.append(_step("part_refunded", "Their money refunded", "done" if back_at else "current", back_at))
    return steps


def _returned_minor(order: Order) -> int:
    """What the cancelled copies cost; all of it goes back, or has."""
    cost = Sum(F("cancelled") * F("unit_price_minor"))
    return int(OrderLine.objects.filter(order=order).aggregate(cost=cost)["cost"] or 0)


def _steps(order: Order, reductions: list[Step]) -> list[Step]:
    """The timeline: what happened with its time, what is under way, what is still to come."""
    held = ("held", "Books set aside", order.held_at)
    paid = ("paid", "Payment received", order.paid_at)
    first, second = (paid, held) if order.flow == catalogue.PAYMENT_FIRST else (held, paid)
    path = [
        ("placed", "Order placed", order.placed_at),
        first,
        second,
        ("confirmed", "Confirmed", order.confirmed_at),
        ("shipped", "Shipped", order.shipped_at),
        ("delivered", "Delivered", order.delivered_at),
    ]
    if order.status != Status.CANCELLED:
        before, after = path[:4], path[4:]
        return [*_progress(before), *reductions, *_progress(after)] if reductions else _progress(path)
    steps = [_step(code, label, "done", at) for code, label, at in path if at is not None] + reductions
    steps.append(_step("cancelled", f"Cancelled: {order.cancel_reason}", "failed", order.cancelled_at))
    if order.payment_reference:
        state = "done" if order.refunded_at else "current"
        steps.append(_step("refunded", "Money refunded", state, order.refunded_at))
    return steps


def _progress(path: Iterable[tuple[str, str, datetime | None]]) -> list[Step]:
    steps: list[Step] = []
    current_given = False
    for code, label, at in path:
        if at is not None:
            state = "done"
        else:
            state = "waiting" if current_given else "current"
            current_given = True
        steps.append(_step(code, label, state, at))
    return steps


def _step(code: str, label: str, state: str, at: datetime | None) -> Step:
    return {"code": code, "label": label, "state": state, "at": at.isoformat() if at else None}
