"""Reading orders: what pages, sockets and the admin show."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from orders import payment_pages, prices, timeline, usual_times
from orders.mailing import messages
from orders.models import Order, ReturnRequest, Shipment


def orders_of(user_id: int) -> QuerySet[Order]:
    """A buyer's orders, newest first."""
    return Order.objects.filter(user_id=user_id).order_by("-placed_at")


def is_placed(idempotency_key: UUID) -> bool:
    """Whether there is an order under this key."""
    return Order.objects.filter(idempotency_key=idempotency_key).exists()


def placed(idempotency_keys: Collection[UUID]) -> set[UUID]:
    """Those of these keys that have an order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT idempotency_key FROM orders_order WHERE idempotency_key = ANY(%s::uuid[])", [list(idempotency_keys)]
        )
        return {key for (key,) in cursor.fetchall()}


class OrderSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the order's page shows of its state: what the page, the socket and the JSON interface tell."""

    order: str
    reference: str
    version: int
    status: str
    final: bool
    """Nothing more will happen by itself."""
    headline: str
    detail: str
    reason: str
    payment_reference: str
    payment_wait: str
    """"action" (the buyer confirms at `payment_url`, until then), "unknown" (the gateway has not answered), or ""."""
    payment_url: str
    payment_until: str | None
    """ISO 8601."""
    payment_seconds_left: int | None
    tracking_number: str
    reductions: int
    """This and `returns` grow whenever something changes about cancelled or returned copies."""
    returned_minor: int
    """What copies cost that were cancelled, in minor units."""
    returns: int
    paid_back_minor: int
    """What copies cost that came back, in minor units."""
    slow: str
    """A sentence for the buyer where the next step has taken longer than usual; else empty."""
    steps: list[timeline.Step]


def snapshot(order_id: UUID) -> OrderSnapshot | None:
    """How the order stands now, or None where there is no such order."""
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        return None
    shipment = Shipment.objects.filter(order=order).first()
    events = timeline.read_trail(order)
    steps = timeline.steps(order, events)
    cancelled_minor, paid_back_minor = prices.money_back(order, list(order.lines.all())) if events else (0, 0)
    until = order.payment_until
    left = (until - timezone.now()).total_seconds() if until else None
    return OrderSnapshot(
        order=str(order.pk),
        reference=order.reference,
        version=order.version,
        status=order.status,
        final=order.is_final and not any(timeline.is_open(step) for step in steps),
        headline=messages.headline(order),
        detail=messages.detail(order),
        reason=order.cancel_reason,
        payment_reference=order.payment_reference,
        payment_wait=order.payment_wait,
        payment_url=order.payment_url if payment_pages.is_gateways(order.payment_url) else "",
        payment_until=until.isoformat() if until else None,
        payment_seconds_left=max(0, round(left)) if left is not None else None,
        tracking_number=shipment.tracking_number if shipment and order.shipped_at else "",
        reductions=sum(what == timeline.REDUCED for what, _ in events),
        returned_minor=cancelled_minor,
        returns=sum(what in timeline.OF_RETURNS for what, _ in events),
        paid_back_minor=paid_back_minor,
        slow=usual_times.slow_sentence(order, timezone.now()),
        steps=steps,
    )


def returns_of(order_id: UUID) -> QuerySet[ReturnRequest]:
    """What the buyer asked to return, newest first."""
    return ReturnRequest.objects.filter(order=order_id)
