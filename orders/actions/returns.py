"""Copies that come back: the buyer asks for it, staff accept or decline, and exactly their money goes back.

All of these need a transaction under way, lock the order, state what follows, and leave a line on the trail.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import money
from events import catalogue
from orders import prices, timeline
from orders.mailing import mails
from orders.models import Order, OrderLine, OrderMail, ReturnRequest, Status, TrailEntry
from orders.state_machine.transitions import Answer
from orders.state_machine.unit_of_work import begin_one, lines_of


class CannotReturn(Exception):
    """It has not left yet (it can be cancelled instead), there are not so many copies, or it was answered already; the
    message says which, and nothing was changed."""


def ask_return(*, order_id: UUID, units: Mapping[str, int], reason: str) -> ReturnRequest:
    """The buyer wants to send these copies, by sku, back; staff accept or decline it.

    Raises:
        CannotReturn: it has not been shipped, it does not have so many copies, or another return is not answered yet.
        UnknownOrder: there is no such order.
    """
    work, order = begin_one(order_id)
    _refuse_return(order, lines_of(order), units)
    if ReturnRequest.objects.filter(order=order, state__in=ReturnRequest.OPEN).exists():
        raise CannotReturn(f"A return of {order} has been asked for already, and is not done yet.")
    request = ReturnRequest.objects.create(order=order, units=dict(units), reason=reason)
    work.note(order, timeline.RETURN_ASKED, Answer.MOVE, f"{timeline.counted(units)}: {reason}")
    work.close()
    return request


def accept_return(
    *, order_id: UUID, units: Mapping[str, int], reason: str, by: str, request_id: int | None = None
) -> Order:
    """Pay back these copies, by sku, of an order that has left; exactly their money goes back.

    With the last copies also what was paid for shipping goes back, as the law wants it in the EU.
    With `request_id` this answers what the buyer asked for, be it for these copies or for others.

    Raises:
        CannotReturn: it has not been shipped, it does not have so many copies that were not paid back before, or the
            request is not an open one of this order.
        UnknownOrder: there is no such order.
    """
    work, order = begin_one(order_id)
    lines = lines_of(order)
    _refuse_return(order, lines, units)
    if request_id is not None:
        request = _open_request(order, request_id, *ReturnRequest.OPEN)
        # Staff who only repeat the buyer's words tell the buyer nothing.
        said = "" if request.reason.startswith(reason) else reason
        if not _is_still_awaited(request, units):
            _answer_request(request, ReturnRequest.State.ACCEPTED, said, by, at=work.now)
    returned = [line for line in lines if line.sku in units]
    amount_minor = prices.goes_back_minor(order, lines, units)
    told = tuple(line.units(units[line.sku], after=line.cancelled + line.returned) for line in returned)
    for line in returned:
        line.returned += units[line.sku]
    OrderLine.objects.bulk_update(returned, ["returned"])
    work.stated.append(
        catalogue.OrderReturned(
            order_id=order.pk,
            flow=order.flow,
            lines=told,
            amount_minor=amount_minor,
            number=TrailEntry.objects.filter(order=order, what=timeline.RETURNED).count() + 1,
            currency=order.currency,
            reason=reason,
        )
    )
    back = f"{money.format_plain(amount_minor, order.currency)} back"
    work.note(order, timeline.RETURNED, Answer.MOVE, f"by {by}: {reason} ({back}, {timeline.counted(units)})")
    work.close()
    return order


def decline_return(*, request_id: int, answer: str, by: str) -> Order:
    """Do not take back what the buyer asked to return; the buyer hears why, on the order's page and by mail.

    Raises:
        CannotReturn: it was answered already, or there is no such request.
    """
    order_id = ReturnRequest.objects.filter(pk=request_id).values_list("order_id", flat=True).first()
    if order_id is None:
        raise CannotReturn(f"There is no return {request_id}.")
    work, order = begin_one(order_id)
    request = _open_request(order, request_id, ReturnRequest.State.ASKED)
    _answer_request(request, ReturnRequest.State.DECLINED, answer, by, at=work.now)
    declined = ReturnRequest.objects.filter(order=order, state=ReturnRequest.State.DECLINED).count()
    mail = mails.MailRequest(order_id=order.pk, kind=OrderMail.Kind.RETURN_DECLINED, number=declined, reason=answer)
    mails.queue_each(requests=[mail])
    work.note(order, timeline.RETURN_DECLINED, Answer.MOVE, f"by {by}: {answer}")
    work.close()
    return order


def _refuse_return(order: Order, lines: Sequence[OrderLine], units: Mapping[str, int]) -> None:
    """Copies that have left can be returned, each of them once.

    Raises:
        CannotReturn: see there.
    """
    if order.status not in (Status.SHIPPED, Status.DELIVERED):
        raise CannotReturn(f"{order} is {order.status}; only what has been shipped can be returned.")
    left = {line.sku: line.kept - line.returned for line in lines}
    if not units:
        raise CannotReturn("Say of which book how many copies are to be returned.")
    for sku, wanted in units.items():
        if not 1 <= wanted <= left.get(sku, 0):
            raise CannotReturn(f"{order} has {left.get(sku, 0)} copies of {sku} left, so {wanted} cannot be returned.")


def _open_request(order: Order, request_id: int, *states: ReturnRequest.State) -> ReturnRequest:
    request = ReturnRequest.objects.filter(pk=request_id, order=order, state__in=ReturnRequest.OPEN).first()
    if request is None:
        raise CannotReturn(f"This return of {order} was answered already.")
    if request.state not in states:
        raise CannotReturn(f"The buyer has withdrawn from these copies of {order}, which cannot be declined.")
    return request


def _is_still_awaited(request: ReturnRequest, paid_back: Mapping[str, int]) -> bool:
    """Whether other copies that were withdrawn from are still to come; the request is about those from now on."""
    if request.state != ReturnRequest.State.WITHDRAWN:
        return False
    rest = {sku: units - paid_back.get(sku, 0) for sku, units in request.units.items()}
    rest = {sku: units for sku, units in rest.items() if units > 0}
    if rest:
        request.units = rest
        request.save(update_fields=["units"])
    return bool(rest)


def _answer_request(request: ReturnRequest, state: ReturnRequest.State, answer: str, by: str, *, at: datetime) -> None:
    request.state, request.answer = state, answer[:500]
    request.answered_by, request.answered_at = by[:150], at
    request.save(update_fields=["state", "answer", "answered_by", "answered_at"])
