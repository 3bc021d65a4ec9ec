"""An order's timeline: the steps that buyers see, and the words of its trail for what was done to it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from events import catalogue
from orders.mailing import messages
from orders.models import Order, ReturnRequest, Status, TrailEntry

StepState = Literal["done", "current", "waiting", "failed"]


class Step(msgspec.Struct):
    """One step of an order's timeline."""

    code: str
    label: str
    state: StepState
    at: str | None
    """When it was taken (ISO 8601)."""


TrailEvents = list[tuple[str, datetime]]
"""What happened to copies and their money, and when."""
REDUCED = "reduced"
"""Some copies of an order were cancelled."""
RETURN_ASKED = "return asked for"
"""The buyer wants to send copies back."""
RETURNED = "returned"
"""Copies that had left are paid back."""
RETURN_DECLINED = "return declined"
"""Staff do not take back what the buyer wanted to send."""
WITHDRAWN = "withdrawn"
"""The buyer has withdrawn from copies that had left, and sends them back."""
OF_RETURNS = (RETURN_ASKED, RETURNED, RETURN_DECLINED, WITHDRAWN)


def counted(units: Mapping[str, int]) -> str:
    """So many copies of each sku."""
    return ", ".join(f"{number} x {sku}" for sku, number in units.items())


def read_trail(order: Order) -> TrailEvents:
    """What the trail says of copies that were cancelled or came back and of their money; only an order that was
    confirmed has any."""
    if not order.is_confirmed:
        return []
    whats = (REDUCED, *OF_RETURNS, catalogue.PaymentRefunded.TYPE)
    return list(TrailEntry.objects.filter(order=order, what__in=whats).order_by("id").values_list("what", "at"))


def _back(order: Order, trail: TrailEvents) -> tuple[list[Step], list[Step]]:
    """The steps of copies that were cancelled, and of those that came back; each time followed by their money."""
    refunds = iter([at for what, at in trail if what == catalogue.PaymentRefunded.TYPE])
    cancelled: list[Step] = []
    returned: list[Step] = []
    for what, at in trail:
        if what == REDUCED:
            cancelled.append(_step("reduced", "Some copies cancelled", "done", at))
            if order.status != Status.CANCELLED:  # otherwise one step tells of all the money
                cancelled.append(_money_back(next(refunds, None)))
        elif what == RETURNED:
            returned += [_step("returned", "Copies returned", "done", at), _money_back(next(refunds, None))]
        elif what == RETURN_DECLINED:
            returned.append(_step("return_declined", "Return declined", "done", at))
    match (
        ReturnRequest.objects.filter(order=order, state__in=ReturnRequest.OPEN).values_list("state", flat=True).first()
    ):
        case ReturnRequest.State.ASKED:
            returned.append(_step("return_asked", "Return asked for", "current", None))
        case ReturnRequest.State.WITHDRAWN:
            returned.append(_step("withdrawn", "Withdrawn, waiting for the books", "current", None))
    return cancelled, returned


def is_open(step: Step) -> bool:
    """Whether something about copies that were cancelled or came back is still to follow."""
    return step.state == "current" and step.code in ("part_refunded", "return_asked", "withdrawn")


def _money_back(at: datetime | None) -> Step:
    return _step("part_refunded", "Their money refunded", "done" if at else "current", at)


def steps(order: Order, trail: TrailEvents) -> list[Step]:
    """What happened with its time, what is under way, what is still to come."""
    held = ("held", "Books set aside", order.held_at)
    paid = ("paid", messages.payment_step(order), order.paid_at)
    first, second = (paid, held) if order.flow == catalogue.PAYMENT_FIRST else (held, paid)
    placed, confirmed = ("placed", "Order placed", order.placed_at), ("confirmed", "Confirmed", order.confirmed_at)
    shipped, delivered = ("shipped", "Shipped", order.shipped_at), ("delivered", "Delivered", order.delivered_at)
    before = [placed, first, second, confirmed]
    cancelled, returned = _back(order, trail) if trail else ([], [])
    if order.status == Status.CANCELLED:
        return [*_done([*before, shipped, delivered]), *cancelled, *_end(order)]
    if order.delivered_at or not returned:
        after = [shipped, delivered]
        path = [*_progress(before), *cancelled, *_progress(after), *returned] if trail else _progress([*before, *after])
    else:
        path = [*_progress(before), *cancelled, *_progress([shipped]), *returned, *_progress([delivered])]
    if order.payment_wait:
        next(step for step in path if step.code == "paid").state = "current"
    return path


def _end(order: Order) -> list[Step]:
    steps = [_step("cancelled", messages.cancelled_step(order), "failed", order.cancelled_at)]
    if order.payment_reference:
        state: StepState = "done" if order.refunded_at else "current"
        steps.append(_step("refunded", "Money refunded", state, order.refunded_at))
    return steps


def _done(path: Iterable[tuple[str, str, datetime | None]]) -> list[Step]:
    return [_step(code, label, "done", at) for code, label, at in path if at is not None]


def _progress(path: Iterable[tuple[str, str, datetime | None]]) -> list[Step]:
    found: list[Step] = []
    current_given = False
    for code, label, at in path:
        state: StepState = "done"
        if at is None:
            state = "waiting" if current_given else "current"
            current_given = True
        found.append(_step(code, label, state, at))
    return found


def _step(code: str, label: str, state: StepState, at: datetime | None) -> Step:
    return Step(code=code, label=label, state=state, at=at.isoformat() if at else None)
