"""Cancelling: a whole order, some copies of one, or what did not get confirmed in time."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db.models.functions import Now

import money
from events import catalogue
from orders import timeline
from orders.cancel_reasons import TIMED_OUT, CancelCode, CancelReason
from orders.models import Order, OrderLine, Shipment, Status, TrailEntry
from orders.state_machine.transitions import Answer
from orders.state_machine.unit_of_work import begin, begin_one, lines_of


class CannotCancel(Exception):
    """It is too late (the parcel is on its way or there: the buyer can ask for a return instead), or there are not so
    many copies; the message says which, and nothing was changed."""


def cancel(*, order_id: UUID, reason: CancelReason | str, by: str) -> Order:
    """End an order that has not been shipped; inventory and payments give back what they took.

    A reason that is a text is what staff wrote.

    Raises:
        CannotCancel: it is shipped, delivered or cancelled already.
        UnknownOrder: there is no such order.
    """
    work, order = begin_one(order_id)
    if order.status not in (Status.PENDING, Status.PAID):
        raise CannotCancel(f"{order} is {order.status}; only an order that has not been shipped can be cancelled.")
    if isinstance(reason, str):
        reason = CancelReason(CancelCode.OTHER, reason)
    work.cancel(order, reason)
    Shipment.objects.filter(order=order).update(state=Shipment.State.STOPPED)
    work.note(order, "cancelled", Answer.MOVE, f"by {by}: {reason}")
    work.close()
    return order


def cancel_lines(*, order_id: UUID, units: Mapping[str, int], reason: str, by: str) -> Order:
    """Take some copies, by sku, out of a confirmed order that has not been shipped; exactly their money goes back.

    Raises:
        CannotCancel: it is not confirmed yet, or shipped, delivered or cancelled already; it does not have so many
            copies; or nothing would be left of it.
        UnknownOrder: there is no such order.
    """
    work, order = begin_one(order_id)
    if order.status != Status.PAID or not order.is_confirmed:
        raise CannotCancel(
            f"{order} is {order.status}; single copies can only be cancelled of an order that is confirmed and has "
            "not been shipped."
        )
    lines = lines_of(order)
    _refuse_units(order, lines, units)
    reduced = [line for line in lines if line.sku in units]
    now = tuple(line.units(units[line.sku], after=line.cancelled) for line in reduced)
    for line in reduced:
        line.cancelled += units[line.sku]
    OrderLine.objects.bulk_update(reduced, ["cancelled"])
    amount_minor = sum(line.paid_minor for line in now)
    order.total_minor -= amount_minor
    work.stated.append(
        catalogue.OrderReduced(
            order_id=order.pk,
            flow=order.flow,
            lines=tuple(line.units(line.cancelled) for line in lines if line.cancelled),
            amount_minor=amount_minor,
            reduction=TrailEntry.objects.filter(order=order, what=timeline.REDUCED).count() + 1,
            currency=order.currency,
            reason=reason,
            cancelled_now=now,
        )
    )
    back = f"{money.format_plain(amount_minor, order.currency)} back"
    work.note(order, timeline.REDUCED, Answer.MOVE, f"by {by}: {reason} ({back}, {timeline.counted(units)})")
    work.close()
    return order


def _refuse_units(order: Order, lines: Sequence[OrderLine], units: Mapping[str, int]) -> None:
    """Copies can be taken out of lines that have them, and never all of them.

    Raises:
        CannotCancel: see there.
    """
    kept = {line.sku: line.kept for line in lines}
    if not units:
        raise CannotCancel("Say of which book how many copies are to be cancelled.")
    for sku, wanted in units.items():
        if not 1 <= wanted <= kept.get(sku, 0):
            raise CannotCancel(f"{order} has {kept.get(sku, 0)} copies of {sku}, so {wanted} cannot be cancelled.")
    if units == {sku: left for sku, left in kept.items() if left}:
        raise CannotCancel(f"Nothing would be left of {order}; cancel the whole order instead.")


def cancel_overdue(*, limit: int = 500) -> int:
    """End orders whose deadline passed, by the database's clock, before they were confirmed. Returns how many."""
    overdue = Order.objects.filter(confirmed_at=None, status__in=(Status.PENDING, Status.PAID), deadline_at__lt=Now())
    work = begin(list(overdue.order_by("deadline_at").values_list("pk", flat=True)[:limit]))
    count = 0
    for order in work.orders.values():
        # Looked at again under the lock: a fact may have come in meanwhile, and has won then.
        if order.status in (Status.PENDING, Status.PAID) and not order.confirmed_at:
            work.cancel(order, TIMED_OUT)
            work.note(order, "deadline passed", Answer.MOVE, str(TIMED_OUT))
            count += 1
    work.close()
    return count
