"""Reading orders: what pages, sockets and the admin show."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from events import catalogue
from orders import trail, wording
from orders.models import Order, OrderLine, ReturnRequest, Shipment, Status, TrailEntry

Step = dict[str, str | None]
Told = list[tuple[str, datetime]]
_OF_RETURNS = (trail.RETURN_ASKED, trail.RETURNED, trail.RETURN_DECLINED)


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
    told = _told(order)
    steps = _steps(order, told)
    cancelled_minor, paid_back_minor = _went_back(order) if told else (0, 0)
    return {
        "order": str(order.pk),
        "reference": order.reference,
        "version": order.version,
        "status": order.status,
        "final": order.is_final and not any(_is_open(step) for step in steps),
        "headline": wording.headline(order),
        "detail": wording.detail(order),
        "reason": order.cancel_reason,
        "payment_reference": order.payment_reference,
        **_payment_wait(order),
        "tracking_number": shipment.tracking_number if shipment and order.shipped_at else "",
        "reductions": sum(what == trail.REDUCED for what, _ in told),
        "returned_minor": cancelled_minor,
        "returns": sum(what in _OF_RETURNS for what, _ in told),
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


# -- The timeline -------------------------------------------------------------------------------------
def _told(order: Order) -> Told:
    """What the trail says of copies that were cancelled or came back and of their money; only an order that was
    confirmed has any."""
    if not order.is_confirmed:
        return []
    whats = (trail.REDUCED, *_OF_RETURNS, catalogue.PaymentRefunded.TYPE)
    return list(TrailEntry.objects.filter(order=order, what__in=whats).order_by("id").values_list("what", "at"))


def _went_back(order: Order) -> tuple[int, int]:
    """What the cancelled and what the returned copies cost; all of it goes back, or has."""
    price = F("unit_price_minor")
    costs = OrderLine.objects.filter(order=order).aggregate(
        cancelled=Sum(F("cancelled") * price), returned=Sum(F("returned") * price)
    )
    return int(costs["cancelled"] or 0), int(costs["returned"] or 0)


def _back(order: Order, told: Told) -> tuple[list[Step], list[Step]]:
    """The steps of copies that were cancelled, and of those that came back; each time followed by their money."""
    refunds = iter([at for what, at in told if what == catalogue.PaymentRefunded.TYPE])
    cancelled: list[Step] = []
    returned: list[Step] = []
    for what, at in told:
        if what == trail.REDUCED:
            cancelled.append(_step("reduced", "Some copies cancelled", "done", at))
            if order.status != Status.CANCELLED:  # otherwise one step tells of all the money
                cancelled.append(_money_back(next(refunds, None)))
        elif what == trail.RETURNED:
            returned += [_step("returned", "Copies returned", "done", at), _money_back(next(refunds, None))]
        elif what == trail.RETURN_DECLINED:
            returned.append(_step("return_declined", "Return declined", "done", at))
    if returns_of(order.pk).filter(state=ReturnRequest.State.ASKED).exists():
        returned.append(_step("return_asked", "Return asked for", "current", None))
    return cancelled, returned


def _is_open(step: Step) -> bool:
    """Whether something about copies that were cancelled or came back is still to follow."""
    return step["state"] == "current" and step["code"] in ("part_refunded", "return_asked")


def _money_back(at: datetime | None) -> Step:
    return _step("part_refunded", "Their money refunded", "done" if at else "current", at)


def _steps(order: Order, told: Told) -> list[Step]:
    """What happened with its time, what is under way, what is still to come."""
    held = ("held", "Books set aside", order.held_at)
    paid = ("paid", wording.payment_step(order), order.paid_at)
    first, second = (paid, held) if order.flow == catalogue.PAYMENT_FIRST else (held, paid)
    placed, confirmed = ("placed", "Order placed", order.placed_at), ("confirmed", "Confirmed", order.confirmed_at)
    shipped, delivered = ("shipped", "Shipped", order.shipped_at), ("delivered", "Delivered", order.delivered_at)
    before = [placed, first, second, confirmed]
    cancelled, returned = _back(order, told) if told else ([], [])
    if order.status == Status.CANCELLED:
        return [*_done([*before, shipped, delivered]), *cancelled, *_end(order)]
    if order.delivered_at or not returned:
        after = [shipped, delivered]
        path = [*_progress(before), *cancelled, *_progress(after), *returned] if told else _progress([*before, *after])
    else:
        path = [*_progress(before), *cancelled, *_progress([shipped]), *returned, *_progress([delivered])]
    if order.payment_wait:
        path[[step["code"] for step in path].index("paid")]["state"] = "current"
    return path


def _end(order: Order) -> list[Step]:
    steps = [_step("cancelled", wording.cancelled_step(order), "failed", order.cancelled_at)]
    if order.payment_reference:
        state = "done" if order.refunded_at else "current"
        steps.append(_step("refunded", "Money refunded", state, order.refunded_at))
    return steps


def _done(path: Iterable[tuple[str, str, datetime | None]]) -> list[Step]:
    return [_step(code, label, "done", at) for code, label, at in path if at is not None]


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
