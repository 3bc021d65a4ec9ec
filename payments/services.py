"""Charges and refunds as rows: asked for in one transaction, settled in another, the gateway's call in between.

# Note [Never inside a transaction]
A call over a network takes as long as it takes, and its effect does not roll back. So a handler only writes that a
charge is *requested*; `cashier.py` takes such rows for a while (a lease), calls the gateway with the row's id as the
key, and comes back here with the answer. A crash at any point leaves the row requested; when the lease is over,
somebody asks again with the same key and hears the same answer.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import QuerySet, Sum, prefetch_related_objects
from django.utils import timezone
from uuid_utils.compat import uuid7

from kafka_bridge import catalogue, outbox, processes, rows
from payments.gateways import Answer, Declined, Succeeded, Unknown
from payments.models import Charge, Refund

log = logging.getLogger(__name__)
# Longer than any gateway call may take; so long does a charge wait whose process was killed under it.
LEASE_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 60.0
REASON_LENGTH = 120
Job = TypeVar("Job", Charge, Refund)


class NothingTaken(Exception):
    """Money is to go back that was never taken; somebody has to look, and nothing was changed."""


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


class _Requested(msgspec.Struct):
    id: UUID
    due: Due


_REQUEST = """
INSERT INTO payments_charge (id, order_id, flow, amount_minor, currency, payment_method, lines, customer, state,
    transaction_id, failure_reason, attempts, cancel_requested, last_error)
SELECT r.id, d.order_id, d.flow, d.amount_minor, d.currency, d.payment_method, d.lines,
    d.customer, 'requested', '', '', 0, false, ''
FROM json_to_recordset(%s) AS r(id uuid, due json), json_to_record(r.due) AS d(order_id uuid, flow text,
    amount_minor bigint, currency text, payment_method text, lines jsonb, customer text)
ON CONFLICT (order_id) DO NOTHING
"""
_CLAIM = """
UPDATE {table} SET attempts = attempts + 1, next_attempt_at = now() + %s
WHERE id IN (
    SELECT id FROM {table} WHERE state = 'requested' AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT %s FOR UPDATE SKIP LOCKED
)
RETURNING *
"""
# The row is looked at again: an order may have been cancelled while the gateway was thinking.
_SETTLE_CHARGES = """
UPDATE payments_charge c SET state = a.state, transaction_id = a.transaction_id, failure_reason = a.failure_reason,
    settled_at = clock_timestamp(), last_error = ''
FROM json_to_recordset(%s) AS a(id uuid, state text, transaction_id text, failure_reason text)
WHERE c.id = a.id AND c.state = 'requested'
RETURNING c.*
"""


# -- Asked for, by handlers -------------------------------------------------------------------------
def request_charges(*, dues: Sequence[Due]) -> None:
    """Write a charge for each order that has none; an order that was cancelled before has one, which is never made."""
    _require_transaction()
    with connection.cursor() as cursor:
        cursor.execute(_REQUEST, [rows.as_json([_Requested(uuid7(), due) for due in dues])])


def undo(*, cancelled: Sequence[catalogue.OrderCancelled]) -> None:
    """Undo whatever payments did for these orders: what is not begun never will be, what was taken goes back, once."""
    _require_transaction()
    _bar_late_charges(cancelled)
    reasons = {event.order_id: event.reason for event in cancelled}
    charges = _lock_charges(reasons)
    kept = _not_going_back(charges)
    for charge in charges:
        if charge.state == Charge.State.REQUESTED:
            # Once a call may have gone out, only its answer tells whether there is something to give back.
            charge.cancel_requested = True
            if not charge.attempts:
                charge.state, charge.settled_at = Charge.State.CANCELLED, timezone.now()
            charge.save(update_fields=["cancel_requested", "state", "settled_at"])
        elif charge.state == Charge.State.SUCCEEDED:
            _request_refund(charge, kept[charge.pk], reasons[charge.order_id])


def refund_parts(*, reduced: Sequence[catalogue.OrderReduced]) -> None:
    """Give back what orders were reduced by, once for each reduction, and never more in sum than was taken.

    A charge that is going back as a whole already (its order's end was heard first) is left alone.
    """
    _require_transaction()
    charges = {charge.order_id: charge for charge in _lock_charges(event.order_id for event in reduced)}
    known = set(Refund.objects.filter(charge__in=charges.values()).values_list("charge", "reason"))
    kept = _not_going_back(charges.values())
    for event in reduced:
        charge = charges.get(event.order_id)
        # The number makes the reason one of its own; a second delivery finds it.
        reason = f"reduction {event.reduction}: {event.reason}"[:REASON_LENGTH]
        if charge is None or charge.state != Charge.State.SUCCEEDED:
            raise NothingTaken(f"order {event.order_id} was reduced, but no money was taken for it; look at its charge")
        if (charge.pk, reason) in known:
            continue
        known.add((charge.pk, reason))
        amount_minor = min(event.amount_minor, kept[charge.pk])
        kept[charge.pk] -= amount_minor
        _request_refund(charge, amount_minor, reason)


def refund_returns(*, returned: Sequence[catalogue.OrderReturned]) -> None:
    """Give back what returned copies cost, once for each return, and never more in sum than was taken."""
    raise NotImplementedError


def look_again(*, notified: Sequence[catalogue.PaymentNotified]) -> None:
    """Make the open charges among these due at once: the gateway said that something happened to them."""
    raise NotImplementedError


def review_refused(*, refused: Sequence[catalogue.OrderPaymentRefused]) -> None:
    """Open a review for each payment event that orders did not believe."""
    raise NotImplementedError


def forestall(orders: Mapping[UUID, str]) -> set[UUID]:
    """Of these orders (with their flows), those that are certain never to be charged from now on.

    A charge that has been begun stays as it is; one that has not is cancelled, and an order without one gets a
    cancelled one. PostgreSQL decides: a cashier that takes the charge first wins, and then it is not in the answer.
    """
    _require_transaction()
    Charge.objects.bulk_create(
        [
            Charge(order_id=order_id, flow=flow, amount_minor=0, state=Charge.State.CANCELLED)
            for order_id, flow in sorted(orders.items())
        ],
        ignore_conflicts=True,
    )
    charges = Charge.objects.filter(order_id__in=list(orders))
    list(charges.order_by("pk").select_for_update())  # in one sequence, as everybody locks them
    charges.filter(state=Charge.State.REQUESTED, attempts=0).update(
        state=Charge.State.CANCELLED, cancel_requested=True, settled_at=timezone.now()
    )
    return set(charges.filter(state=Charge.State.CANCELLED).values_list("order_id", flat=True))


def _bar_late_charges(cancelled: Sequence[catalogue.OrderCancelled]) -> None:
    """An order whose end we hear of before its beginning gets a cancelled charge, so that no other can follow."""
    Charge.objects.bulk_create(
        [
            Charge(
                order_id=event.order_id,
                flow=event.flow,
                amount_minor=event.total_minor,
                currency=event.currency,
                state=Charge.State.CANCELLED,
            )
            for event in cancelled
        ],
        ignore_conflicts=True,
    )


def _lock_charges(order_ids: Iterable[UUID]) -> list[Charge]:
    """The charges of these orders, locked in one sequence; nobody else adds or settles refunds of them meanwhile."""
    return list(Charge.objects.filter(order_id__in=list(order_ids)).order_by("pk").select_for_update())


def _not_going_back(charges: Iterable[Charge]) -> dict[UUID, int]:
    """By charge, what is neither back nor on its way back, in minor units; the charges are locked."""
    amounts = {charge.pk: charge.amount_minor for charge in charges}
    back = dict(_refunds_of(amounts).values_list("charge").annotate(Sum("amount_minor")))
    return {pk: amount_minor - back.get(pk, 0) for pk, amount_minor in amounts.items()}


def _refunds_of(charge_ids: Iterable[UUID]) -> QuerySet[Refund]:
    return Refund.objects.filter(charge__in=list(charge_ids)).order_by()


def _request_refund(charge: Charge, amount_minor: int, reason: str) -> None:
    if amount_minor > 0:
        Refund.objects.bulk_create(
            [Refund(charge=charge, amount_minor=amount_minor, reason=reason)], ignore_conflicts=True
        )


# -- Carried out, by the cashier ----------------------------------------------------------------------
def claim_charges(*, limit: int) -> list[Charge]:
    """Take charges that are due; nobody else gets them until the lease is over."""
    return _claim(Charge, limit)


def claim_refunds(*, limit: int) -> list[Refund]:
    """Take refunds that are due; nobody else gets them until the lease is over."""
    refunds = _claim(Refund, limit)
    # The gateway's threads shall not need the database.
    prefetch_related_objects(refunds, "charge")
    return refunds


def _claim(model: type[Job], limit: int) -> list[Job]:
    """One statement, and so one transaction: it is asked again and again, mostly for nothing."""
    statement = _CLAIM.format(table=model._meta.db_table)
    return list(model.objects.raw(statement, [timedelta(seconds=LEASE_SECONDS), limit]))


def settle(*, charges: Sequence[tuple[Charge, Answer]], refunds: Sequence[tuple[Refund, Answer]]) -> None:
    """Write the gateway's answers and state what follows, all in the caller's transaction."""
    _require_transaction()
    by_id = {refund.pk: answer for refund, answer in refunds}
    if by_id:
        # What is left of a charge is told with each refund, so two of one charge are settled one after the other. All
        # charges are locked here, before the statement below takes some of them.
        _lock_charges({row.order_id for row, _ in charges} | {refund.charge.order_id for refund, _ in refunds})
    _settle_charges(charges)
    if by_id:
        found = Refund.objects.filter(pk__in=list(by_id), state=Refund.State.REQUESTED).order_by("pk")
        for refund in found.select_related("charge").select_for_update(of=("self",)):
            _settle_refund(refund, by_id[refund.pk])


def _settle_charges(answers: Sequence[tuple[Charge, Answer]]) -> None:
    final = []
    for charge, answer in answers:
        match answer:
            case Succeeded(transaction_id):
                final.append(_final(charge, Charge.State.SUCCEEDED, transaction_id=transaction_id))
            case Declined(reason):
                final.append(_final(charge, Charge.State.FAILED, failure_reason=reason[:120]))
            case Unknown(detail):
                _ask_again(charge, detail)
    if not final:
        return
    settled = list(Charge.objects.raw(_SETTLE_CHARGES, [rows.as_json(final)]))
    outbox.publish(*map(_outcome, settled))
    for charge in settled:
        if charge.cancel_requested and charge.state == Charge.State.SUCCEEDED:
            _request_refund(charge, charge.amount_minor, "the order was cancelled while it was being paid")


def _final(
    charge: Charge, state: Charge.State, *, transaction_id: str = "", failure_reason: str = ""
) -> dict[str, object]:
    return {"id": charge.pk, "state": state, "transaction_id": transaction_id, "failure_reason": failure_reason}


def _outcome(charge: Charge) -> catalogue.PaymentConfirmed | catalogue.PaymentFailed:
    if charge.state == Charge.State.SUCCEEDED:
        return _confirmed(charge)
    return catalogue.PaymentFailed(
        order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, reason=charge.failure_reason
    )


def _settle_refund(refund: Refund, answer: Answer) -> None:
    match answer:
        case Succeeded(transaction_id):
            refund.state, refund.transaction_id = Refund.State.SUCCEEDED, transaction_id
            refund.settled_at, refund.last_error = timezone.now(), ""
            refund.save(update_fields=["state", "transaction_id", "settled_at", "last_error"])
            outbox.publish(_refunded(refund))
        case Declined(reason) | Unknown(reason):
            # A refund that the gateway refuses needs a person; until then it stays due and visible in the admin.
            _ask_again(refund, reason)


def _ask_again(row: Charge | Refund, detail: str) -> None:
    pause = processes.backoff(row.attempts, first_seconds=1, longest_seconds=LONGEST_PAUSE_SECONDS)
    row.last_error, row.next_attempt_at = detail[:300], timezone.now() + timedelta(seconds=pause)
    row.save(update_fields=["last_error", "next_attempt_at"])
    log.warning("%s: no final answer (%s); the same key again in %.0f s", row, detail, pause)


def _confirmed(charge: Charge) -> catalogue.PaymentConfirmed:
    return catalogue.PaymentConfirmed(
        order_id=charge.order_id,
        flow=charge.flow,
        charge_id=charge.pk,
        transaction_id=charge.transaction_id,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        payment_method=charge.payment_method,
        lines=msgspec.convert(charge.lines, tuple[catalogue.Line, ...]),
        customer=charge.customer,
    )


def _refunded(refund: Refund) -> catalogue.PaymentRefunded:
    """The fact of a refund that has just gone through, with what it leaves of the charge."""
    charge = refund.charge
    done = list(charge.refunds.filter(state=Refund.State.SUCCEEDED).order_by().values_list("amount_minor", flat=True))
    return catalogue.PaymentRefunded(
        order_id=charge.order_id,
        flow=charge.flow,
        charge_id=charge.pk,
        refund_id=refund.pk,
        amount_minor=refund.amount_minor,
        currency=charge.currency,
        reason=refund.reason,
        left_minor=max(0, charge.amount_minor - sum(done)),
        number=len(done),
    )


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("payments.services must be called inside transaction.atomic()")
