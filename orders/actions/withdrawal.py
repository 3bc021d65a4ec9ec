"""The buyer withdraws from the purchase, or from some copies of it.

# Note [Declared, not asked for]
A withdrawal (directive 2011/83/EU, articles 9 to 11a) needs no reason and nobody's consent: it counts as soon as it is
declared. Before the parcel has left it is a cancellation. Afterwards it opens a return that staff cannot decline; they
pay it back once the books are here, like any other return. The declaration itself is kept as a `Withdrawal`, and its
receipt is an order mail, recorded in the same transaction: one for each declaration, however often it is sent.
"""

import operator
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from orders import timeline
from orders.actions import cancellation
from orders.cancel_reasons import BY_BUYER
from orders.mailing import mails
from orders.models import Order, OrderLine, OrderMail, ReturnRequest, Status, Withdrawal
from orders.state_machine.transitions import Answer
from orders.state_machine.unit_of_work import begin_one, lines_of

REASON = "withdrawn from the purchase"
_BY = "the buyer, who withdrew"
State = ReturnRequest.State


class CannotWithdraw(Exception):
    """The period is over, nothing is left to withdraw from, or there are not so many copies; the message, for the
    buyer, says which, and nothing was changed."""


def until(order: Order) -> datetime | None:
    """The moment at which the right to withdraw ends; None while the parcel has not arrived.

    The day of the delivery does not count, the last day does to its end.
    """
    if order.delivered_at is None:
        return None
    last = timezone.localdate(order.delivered_at) + timedelta(days=settings.WITHDRAWAL_DAYS)
    return timezone.make_aware(datetime.combine(last + timedelta(days=1), time.min))


def left(order: Order, lines: Sequence[OrderLine]) -> dict[str, int]:
    """By sku, the copies that can be withdrawn from now; empty where there are none.

    Raises:
        CannotWithdraw: the order is cancelled, or the period is over.
    """
    if order.status == Status.CANCELLED:
        raise CannotWithdraw("This order is cancelled already.")
    end = until(order)
    if end is not None and timezone.now() >= end:
        last = timezone.localdate(end - timedelta(days=1))
        raise CannotWithdraw(f"The period for withdrawing from this order ended on {last:%d %B %Y}.")
    open_return = ReturnRequest.objects.filter(order=order, state=State.WITHDRAWN).first()
    on_the_way = open_return.units if open_return else {}
    found = {line.sku: line.kept - line.returned - on_the_way.get(line.sku, 0) for line in lines}
    return {sku: copies for sku, copies in found.items() if copies > 0}


def is_possible(order: Order, lines: Sequence[OrderLine]) -> bool:
    """Whether there is something that can be withdrawn from now."""
    try:
        return bool(left(order, lines))
    except CannotWithdraw:
        return False


def withdraw(*, order_id: UUID, units: Mapping[str, int]) -> Withdrawal:
    """Withdraw from these copies, by sku; see Note [Declared, not asked for]. Needs a transaction.

    Raises:
        CannotWithdraw: see there.
        UnknownOrder: there is no such order.
    """
    _, order = begin_one(order_id)  # locks it, until the transaction ends
    lines = lines_of(order)
    possible = left(order, lines)
    if not units or any(not 1 <= wanted <= possible.get(sku, 0) for sku, wanted in units.items()):
        raise CannotWithdraw("Of these copies some are cancelled, returned or withdrawn from already.")
    had_left = order.status in (Status.SHIPPED, Status.DELIVERED)
    if had_left:
        _await_books(order, units)
    elif dict(units) == possible:
        cancellation.cancel(order_id=order_id, reason=BY_BUYER, by=_BY)
    elif order.is_confirmed:
        cancellation.cancel_lines(order_id=order_id, units=units, reason=REASON, by=_BY)
    else:
        raise CannotWithdraw(
            "Your order is not confirmed yet, which takes moments. Withdraw from all of it, or try again in a minute."
        )
    return _keep(order, units, had_left=had_left)


def _keep(order: Order, units: Mapping[str, int], *, had_left: bool) -> Withdrawal:
    """The declaration, and that its receipt is owed."""
    number = Withdrawal.objects.filter(order=order).count() + 1
    kept = Withdrawal.objects.create(
        order=order, number=number, units=dict(units), had_left=had_left, declared_at=timezone.now()
    )
    mails.queue_each(
        requests=[mails.MailRequest(order_id=order.pk, kind=OrderMail.Kind.WITHDRAWN, number=number, reason=REASON)]
    )
    return kept


def _await_books(order: Order, units: Mapping[str, int]) -> None:
    """Open a return that waits for the books, or add to the one that does; what was asked for becomes one."""
    work, order = begin_one(order.pk)
    known = ReturnRequest.objects.filter(order=order, state__in=ReturnRequest.OPEN).first()
    if known is None:
        ReturnRequest.objects.create(order=order, units=dict(units), reason=REASON, state=State.WITHDRAWN)
    else:
        # Who has asked to send a copy back and now withdraws from it means the same copy.
        joined = max if known.state == State.ASKED else operator.add
        known.units = {
            sku: joined(known.units.get(sku, 0), units.get(sku, 0)) for sku in sorted({*known.units, *units})
        }
        known.state = State.WITHDRAWN
        known.save(update_fields=["units", "state"])
    work.note(order, timeline.WITHDRAWN, Answer.MOVE, f"by {_BY}: {timeline.counted(units)}")
    work.close()
