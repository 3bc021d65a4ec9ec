"""What is asked of payments: money is to be taken, nothing is to be taken any more, money is to go back.

All of these need a transaction under way, lock the charges that they touch, and only write rows; the gateway is called
by the cashier (see Note [Never inside a transaction] in `settlement.py`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

import money
from events import catalogue
from kafka_bridge.consuming import registry
from kafka_bridge.runtime import bulk_rows, transactions
from payments import reviews, unit_of_work
from payments.models import Charge, GatewayNotice, Refund, Review
from payments.unit_of_work import REASON_LENGTH, UnitOfWork

State = Charge.State
MOST_MINOR = 10**12
_CURRENCY = re.compile(r"[A-Z]{3}")


class NothingTaken(Exception):
    """Money is to go back that was never taken; somebody has to look, and nothing was changed."""


class ImpossibleSum(registry.Reject):
    """Nobody can owe such a sum; whoever asked for it is wrong, and nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Due:
    """Money that is to be taken for an order; minor units."""

    order_id: UUID
    flow: str
    amount_minor: int
    currency: str
    payment_method: str
    lines: tuple[catalogue.Line, ...]
    customer: str = ""
    until: datetime | None = None
    """When the books are given up unless they are paid; None where they are not held yet."""


class _Requested(msgspec.Struct):
    id: UUID
    due: Due


_REQUEST = """
WITH requested AS (
    INSERT INTO payments_charge (id, order_id, flow, amount_minor, currency, payment_method, lines, customer, state,
        transaction_id, failure_reason, action_url, act_by, attempts, cancel_requested, last_error)
    SELECT r.id, d.order_id, d.flow, d.amount_minor, d.currency, d.payment_method, d.lines,
        d.customer, 'requested', '', '', '', d.until, 0, false, ''
    FROM json_to_recordset(%s) AS r(id uuid, due json), json_to_record(r.due) AS d(order_id uuid, flow text,
        amount_minor bigint, currency text, payment_method text, lines jsonb, customer text, until timestamptz)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING id, state, amount_minor
)
INSERT INTO payments_chargeentry (charge_id, what, state, amount_minor, detail)
SELECT id, 'requested', state, amount_minor, '' FROM requested
"""


# -- Taking money -------------------------------------------------------------------------------------
def request_charges(*, dues: Sequence[Due]) -> None:
    """Write a charge for each order that has none; an order that was cancelled before has one, which is never made.

    Raises:
        ImpossibleSum: an amount or a currency makes no sense.
    """
    transactions.require("payments.services")
    for due in dues:
        _refuse_nonsense(due)
    with connection.cursor() as cursor:
        cursor.execute(_REQUEST, [bulk_rows.as_json([_Requested(uuid7(), due) for due in dues])])


def _refuse_nonsense(due: Due) -> None:
    if not 1 <= due.amount_minor <= MOST_MINOR:
        raise ImpossibleSum(f"order {due.order_id} cannot be charged {due.amount_minor} minor units")
    if not _CURRENCY.fullmatch(due.currency):
        raise ImpossibleSum(f"order {due.order_id} cannot be charged in {due.currency!r}, which is no currency")
    lines_minor = sum(line.quantity * line.unit_price_minor for line in due.lines)
    if due.lines and lines_minor != due.amount_minor:
        raise ImpossibleSum(f"order {due.order_id}: its lines come to {lines_minor}, not to {due.amount_minor}")


# -- Taking none any more -------------------------------------------------------------------------------
def undo(*, cancelled: Sequence[catalogue.OrderCancelled]) -> None:
    """Undo whatever payments did for these orders: what can be barred is, what was taken goes back, once.

    What is being captured at this moment cannot be barred; it goes back as soon as it is.
    """
    _bar_unborn(
        Charge(order_id=event.order_id, flow=event.flow, amount_minor=event.total_minor, currency=event.currency)
        for event in cancelled
    )
    reasons = {event.order_id: event.reason for event in cancelled}
    books = unit_of_work.of_orders(reasons)
    for charge in books:
        reason = reasons[charge.order_id]
        if charge.state == State.SUCCEEDED:
            books.give_back(charge, charge.left_minor, reason)
        elif charge.state == State.CAPTURING and not charge.cancel_requested:
            charge.cancel_requested = True
            books.note(charge, "order cancelled", f"{reason}; what is captured goes back")
        else:
            _bar(books, charge, "order cancelled", reason)
    books.close()


def prevent_charge(orders: Mapping[UUID, str]) -> set[UUID]:
    """Of these orders (with their flows), those whose money is certain never to be taken from now on.

    Whatever is not being captured is barred, and an order without a charge gets a barred one. What was authorized, or
    turns out to be, is voided. Who locks the charge first wins: here, or the cashier that begins to capture it.
    """
    _bar_unborn(Charge(order_id=order_id, flow=flow, amount_minor=0) for order_id, flow in orders.items())
    books = unit_of_work.of_orders(orders)
    for charge in books:
        _bar(books, charge, "hold ran out")
    books.close()
    return {charge.order_id for charge in books if charge.state not in (State.CAPTURING, State.SUCCEEDED)}


def _bar_unborn(charges: Iterable[Charge]) -> None:
    """An order of whose end we hear before its beginning gets a cancelled charge, so that no other can follow."""
    transactions.require("payments.services")
    barred = sorted(charges, key=lambda charge: charge.order_id)
    for charge in barred:
        charge.state, charge.cancel_requested = State.CANCELLED, True
    Charge.objects.bulk_create(barred, ignore_conflicts=True)


def _bar(books: UnitOfWork, charge: Charge, why: str, detail: str = "") -> None:
    """See to it that nothing is taken; a charge that is being captured, or is over, stays as it is."""
    if charge.cancel_requested:
        return
    match charge.state:
        case State.REQUESTED if not charge.attempts:
            books.move(charge, State.CANCELLED)
        case State.REQUESTED:
            pass  # a call may have gone out, and only its answer tells whether there is something to let go
        case State.ACTION_REQUIRED | State.AUTHORIZED:
            books.move(charge, State.VOIDING)
        case _:
            return
    charge.cancel_requested = True
    books.note(charge, why, detail)


# -- Giving money back ----------------------------------------------------------------------------------
def refund_parts(*, reduced: Sequence[catalogue.OrderReduced]) -> None:
    """Give back what orders were reduced by, once for each reduction, and never more in sum than was taken.

    A charge that is going back as a whole already (its order's end was heard first) is left alone.

    Raises:
        NothingTaken: see there.
    """
    _refund_each((event, f"reduction {event.reduction}: {event.reason}") for event in reduced)


def refund_returns(*, returned: Sequence[catalogue.OrderReturned]) -> None:
    """Give back what returned copies cost, once for each return, and never more in sum than was taken.

    Raises:
        NothingTaken: see there.
    """
    _refund_each((event, f"return {event.number}: {event.reason}") for event in returned)


def _refund_each(parts: Iterable[tuple[catalogue.OrderReduced | catalogue.OrderReturned, str]]) -> None:
    """The number makes each reason one of its own; a second delivery finds it."""
    wanted = list(parts)
    books = unit_of_work.of_orders({event.order_id for event, _ in wanted})
    charges = {charge.order_id: charge for charge in books}
    for event, reason in wanted:
        charge = charges.get(event.order_id)
        if charge is None or charge.state != State.SUCCEEDED:
            raise NothingTaken(f"{event.TYPE} of order {event.order_id}: no money was taken for it; look at its charge")
        books.give_back(charge, event.amount_minor, reason[:REASON_LENGTH])
    books.close()


# -- Asking, and having a person look -------------------------------------------------------------------
def look_again(*, notified: Sequence[catalogue.PaymentNotified]) -> None:
    """The gateway knocked. What waits for the buyer, or for an answer that got lost, is asked about at once.

    A call that is under way is left alone: its answer tells, and a second one beside it would only be in its way.
    """
    books = unit_of_work.of_charges({event.charge_id for event in notified})
    told = GatewayNotice.objects.filter(event_id__in=[event.notice_id for event in notified])
    kinds = dict(told.values_list("event_id", "kind"))
    for event in notified:
        charge = books.charges.get(event.charge_id)
        if charge is None:
            continue
        if charge.state == State.ACTION_REQUIRED or (charge.state in Charge.OPEN and charge.last_error):
            charge.next_attempt_at = books.now
        books.note(charge, f"webhook {kinds.get(event.notice_id, '')}".strip(), event.notice_id)
    books.close()
    waiting = Refund.objects.filter(charge__in=list(books.charges), state=Refund.State.REQUESTED)
    waiting.exclude(last_error="").update(next_attempt_at=Now())


def ask_again(*, charge_id: UUID) -> None:
    """Have the gateway asked now, instead of when it would be time; for staff. The keys stay the same."""
    transactions.require("payments.services")
    Charge.objects.filter(pk=charge_id, state__in=Charge.OPEN).update(next_attempt_at=Now())
    Refund.objects.filter(charge=charge_id, state=Refund.State.REQUESTED).update(next_attempt_at=Now())


def review_refused(*, refused: Sequence[catalogue.OrderPaymentRefused]) -> None:
    """Open a review for each payment event that orders did not believe."""
    transactions.require("payments.services")
    charges = {c.order_id: c for c in Charge.objects.filter(order_id__in=[event.order_id for event in refused])}
    for event in refused:
        reviews.open_review(
            kind=Review.Kind.EVENT_REFUSED,
            subject=str(event.charge_id),
            detail=f"An event claimed that {_stated_sum(event)} were paid: {event.why}",
            charge=charges.get(event.order_id),
            order_id=event.order_id,
        )


def _stated_sum(event: catalogue.OrderPaymentRefused) -> str:
    return money.format_plain(event.amount_minor, event.currency)
