"""Charging: money is to be taken for an order, or never any more.

These need a transaction under way, lock the charges that they touch, and only write rows; the gateway is called by
`gateway_worker.py` (see Note [Never inside a transaction] in `state_machine/claiming.py`).
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

from events import catalogue
from kafka_bridge.consuming import registry
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import bulk_rows, transactions
from payments.models import Charge, Refund
from payments.state_machine import unit_of_work
from payments.state_machine.unit_of_work import UnitOfWork

State = Charge.State
MOST_MINOR = 10**12
_CURRENCY = re.compile(r"[A-Z]{3}")


class ImpossibleSum(registry.Reject):
    """Nobody can owe such a sum; whoever asked for it is wrong, and nothing was written."""


@dataclass(frozen=True, kw_only=True)
class ChargeRequest:
    """Money that is to be taken for an order; minor units."""

    order_id: UUID
    flow: str
    amount_minor: int
    currency: str
    payment_method: str
    lines: tuple[catalogue.Line, ...]
    customer: str = ""
    contact: str = ""
    until: datetime | None = None
    """When the books are given up unless they are paid; None where they are not held yet."""
    shipping_minor: int = 0
    """What of the amount is for shipping; the rest is for the lines."""


class _Requested(msgspec.Struct):
    id: UUID
    request: ChargeRequest
    caused_by: UUID | None


_REQUEST = """
WITH requested AS (
    INSERT INTO payments_charge (id, order_id, flow, amount_minor, currency, payment_method, lines, customer, contact,
        state, transaction_id, failure_reason, action_url, act_by, attempts, cancel_requested, last_error, caused_by)
    SELECT r.id, d.order_id, d.flow, d.amount_minor, d.currency, d.payment_method, d.lines,
        d.customer, coalesce(d.contact, ''), 'requested', '', '', '', d.until, 0, false, '', r.caused_by
    FROM json_to_recordset(%s) AS r(id uuid, request json, caused_by uuid), json_to_record(r.request)
        AS d(order_id uuid, flow text, amount_minor bigint, currency text, payment_method text, lines jsonb,
            customer text, contact text, until timestamptz)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING id, state, amount_minor
)
INSERT INTO payments_chargeentry (charge_id, what, state, amount_minor, detail)
SELECT id, 'requested', state, amount_minor, '' FROM requested
"""


def request_charges(*, requests: Sequence[ChargeRequest]) -> None:
    """Write a charge for each order that has none; an order that was cancelled before has one, which is never made.

    Raises:
        ImpossibleSum: an amount or a currency makes no sense.
    """
    transactions.require("payments.charges")
    for request in requests:
        _refuse_nonsense(request)
    requested = [_Requested(uuid7(), each, outbox.cause_of(str(each.order_id))) for each in requests]
    with connection.cursor() as cursor:
        cursor.execute(_REQUEST, [bulk_rows.as_json(requested)])


def _refuse_nonsense(request: ChargeRequest) -> None:
    if not 1 <= request.amount_minor <= MOST_MINOR:
        raise ImpossibleSum(f"order {request.order_id} cannot be charged {request.amount_minor} minor units")
    if not _CURRENCY.fullmatch(request.currency):
        raise ImpossibleSum(f"order {request.order_id} cannot be charged in {request.currency!r}, which is no currency")
    parts_minor = sum(line.paid_minor for line in request.lines) + request.shipping_minor
    if request.lines and parts_minor != request.amount_minor:
        raise ImpossibleSum(
            f"order {request.order_id}: its lines and shipping come to {parts_minor}, not to {request.amount_minor}"
        )


def ask_again(*, charge_id: UUID) -> None:
    """Have the gateway asked now, instead of when it would be time; for staff. The keys stay the same."""
    transactions.require("payments.charges")
    Charge.objects.filter(pk=charge_id, state__in=Charge.OPEN).update(next_attempt_at=Now())
    Refund.objects.filter(charge=charge_id, state=Refund.State.REQUESTED).update(next_attempt_at=Now())


def undo(*, cancelled: Sequence[catalogue.OrderCancelled]) -> None:
    """Undo whatever payments did for these orders: what can be barred is, what was taken goes back, once.

    What is being captured at this moment cannot be barred; it goes back as soon as it is.
    """
    _bar_unborn(
        Charge(order_id=event.order_id, flow=event.flow, amount_minor=event.total_minor, currency=event.currency)
        for event in cancelled
    )
    reasons = {event.order_id: event.reason for event in cancelled}
    work = unit_of_work.of_orders(reasons)
    for charge in work:
        reason = reasons[charge.order_id]
        if charge.state == State.SUCCEEDED:
            work.give_back(charge, charge.left_minor, reason)
        elif charge.state == State.CAPTURING and not charge.cancel_requested:
            work.cancel(charge)
            work.note(charge, "order cancelled", f"{reason}; what is captured goes back")
        else:
            _bar(work, charge, "order cancelled", reason)
    work.close()


def prevent_charge(orders: Mapping[UUID, str]) -> set[UUID]:
    """Of these orders (with their flows), those whose money is certain never to be taken from now on.

    Whatever is not being captured is barred, and an order without a charge gets a barred one. What was authorized, or
    turns out to be, is voided. Who locks the charge first wins: here, or the gateway worker that begins to capture it.
    """
    _bar_unborn(Charge(order_id=order_id, flow=flow, amount_minor=0) for order_id, flow in orders.items())
    work = unit_of_work.of_orders(orders)
    for charge in work:
        _bar(work, charge, "hold ran out")
    work.close()
    return {charge.order_id for charge in work if charge.state not in (State.CAPTURING, State.SUCCEEDED)}


def _bar_unborn(charges: Iterable[Charge]) -> None:
    """An order of whose end we hear before its beginning gets a cancelled charge, so that no other can follow."""
    transactions.require("payments.charges")
    barred = sorted(charges, key=lambda charge: charge.order_id)
    for charge in barred:
        charge.state, charge.cancel_requested = State.CANCELLED, True
        charge.caused_by = charge.cancel_caused_by = outbox.cause_of(str(charge.order_id))
    Charge.objects.bulk_create(barred, ignore_conflicts=True)


def _bar(work: UnitOfWork, charge: Charge, why: str, detail: str = "") -> None:
    """See to it that nothing is taken; a charge that is being captured, or is over, stays as it is."""
    if charge.cancel_requested:
        return
    match charge.state:
        case State.REQUESTED if not charge.attempts:
            work.move(charge, State.CANCELLED)
        case State.REQUESTED:
            pass  # a call may have gone out, and only its answer tells whether there is something to let go
        case State.ACTION_REQUIRED | State.AUTHORIZED:
            work.move(charge, State.VOIDING)
        case _:
            return
    work.cancel(charge)
    work.note(charge, why, detail)
