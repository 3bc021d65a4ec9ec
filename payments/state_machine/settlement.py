"""Writing what the gateway answered: where charges and refunds go, and what is stated of it.

# Note [Barred meanwhile]
While the call is under way anybody may lock the row and bar the charge. So an answer is an answer to the step that the
charge was taken at: it is written only if the charge is still there, and `transitions.py` looks at it as it is now.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum

import money
from events import catalogue
from kafka_bridge.runtime import backoff
from kafka_bridge.runtime.postgresql import bulk_rows
from payments import reviews
from payments.gateways import Answer, PaymentStatus, Succeeded, Unknown
from payments.models import Charge, ChargeEntry, Refund, Review
from payments.state_machine import claiming, transitions, unit_of_work
from payments.state_machine.transitions import GatewayAnswer
from payments.state_machine.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)
State = Charge.State
LONGEST_PAUSE_SECONDS = 60.0
# What the gateway refuses may pass once it was put right there.
LONGEST_PAUSE_AFTER_REFUSAL_SECONDS = 3600.0
FIRST_LOOK_SECONDS, LONGEST_BETWEEN_LOOKS_SECONDS = 2.0, 15.0
CANCELLED_MEANWHILE = "the order was cancelled while it was being paid"
CAPTURED_ELSEWHERE = "captured although it was to be voided"
_STEPS = {
    State.REQUESTED: "authorization",
    State.ACTION_REQUIRED: "confirmation",
    State.CAPTURING: "capture",
    State.VOIDING: "void",
}
_WORDS = {
    PaymentStatus.ACTION: "confirmation required",
    PaymentStatus.AUTHORIZED: "authorized",
    PaymentStatus.CAPTURED: "captured",
    PaymentStatus.VOIDED: "voided",
    PaymentStatus.DECLINED: "declined",
    None: "not known to the gateway",
}
# Whatever the last of these lines says of a charge is what the order was told last.
_TELLING = ("authorization unknown", "capture unknown", "confirmation required")
_WRITE_REFUNDS = """
UPDATE payments_refund r SET state = w.state, transaction_id = w.transaction_id, last_error = w.last_error,
    next_attempt_at = w.next_attempt_at, settled_at = w.settled_at
FROM json_to_recordset(%s) AS w(id uuid, state text, transaction_id text, last_error text,
    next_attempt_at timestamptz, settled_at timestamptz)
WHERE r.id = w.id
"""


# -- Charges -----------------------------------------------------------------------------------------
def settle(
    *, charges: Sequence[tuple[Charge, GatewayAnswer | Unknown]], refunds: Sequence[tuple[Refund, Answer]] = ()
) -> None:
    """Write the gateway's answers and state what follows, all in the caller's transaction.

    The rows are as they were claimed; see Note [Barred meanwhile].
    """
    # All of them at once: what is left of a charge is told with each refund, so two of one charge must not be settled
    # at the same time by two processes.
    work = unit_of_work.of_charges({row.pk for row, _ in charges} | {refund.charge_id for refund, _ in refunds})
    unknown: dict[UUID, Charge] = {}
    for claimed, answer in charges:
        charge = work.charges[claimed.pk]
        if charge.state != claimed.state:
            continue
        if isinstance(answer, Unknown):
            _note_unknown(work, charge, claimed, answer)
            unknown[charge.pk] = charge
        else:
            _note_answer(work, charge, claimed, answer)
    # Of two calls for one charge (the first took longer than its lease) the other may have told.
    _state_unknown(work, [charge for charge in unknown.values() if charge.unknown_since is not None])
    _settle_refunds(work, refunds)
    work.close()


def _note_unknown(work: UnitOfWork, charge: Charge, claimed: Charge, answer: Unknown) -> None:
    charge.unknown_since = charge.unknown_since or work.now
    charge.last_error = unit_of_work.clean(answer.detail, 300)
    pause = backoff.exponential(claimed.attempts, first_seconds=1, longest_seconds=LONGEST_PAUSE_SECONDS)
    _postpone(work, charge, claimed, work.now + timedelta(seconds=pause))
    log.warning("%s: no answer (%s); the same key again in %.0f s", charge, answer.detail, pause)


def _postpone(work: UnitOfWork, charge: Charge, claimed: Charge, until: datetime) -> None:
    """Ask again then; unless it was made due while we were asking, which may have been too early."""
    if charge.next_attempt_at == claimed.next_attempt_at:
        charge.next_attempt_at = until
    work.touch(charge)


def _state_unknown(work: UnitOfWork, charges: Sequence[Charge]) -> None:
    """An order is told once that nobody knows; and again if it has been told something else since."""
    if not charges:
        return
    lines = ChargeEntry.objects.filter(charge__in=charges, what__in=_TELLING).order_by("id")
    told = dict(lines.values_list("charge", "what"))
    for charge in charges:
        what = f"{_STEPS[State(charge.state)]} unknown"
        if what in _TELLING and not charge.cancel_requested and not told.get(charge.pk, "").endswith("unknown"):
            unknown = catalogue.PaymentUnknown(order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk)
            work.state(unknown, caused_by=charge.caused_by)
        work.note(charge, what, charge.last_error)


def _note_answer(work: UnitOfWork, charge: Charge, claimed: Charge, answer: GatewayAnswer) -> None:
    was = State(charge.state)
    following = transitions.next_state(charge, answer, is_late=_is_late(charge, claimed))
    if charge.unknown_since is not None:
        charge.unknown_since = None
        note = f"The gateway answered: {_WORDS[answer.standing]}."
        reviews.settle(kind=Review.Kind.UNKNOWN, subject=str(charge.pk), note=note)
    charge.transaction_id = charge.transaction_id or unit_of_work.clean(answer.transaction_id, 120)
    if following is was:
        _wait(work, charge, claimed, answer)
        return
    if was is State.VOIDING and claimed.attempts > 1:
        reviews.settle(kind=Review.Kind.VOID_REFUSED, subject=str(charge.pk), note=f"It is {_WORDS[answer.standing]}.")
    work.move(charge, following)
    what, detail = _in_words(was, following, answer)
    work.note(charge, what, detail, amount_minor=charge.amount_minor)
    _follow(work, charge, was, answer)


def _is_late(charge: Charge, claimed: Charge) -> bool:
    """Whether the gateway was asked after the buyer's time was over: they may confirm it until the last moment."""
    return charge.act_by is not None and claimed.next_attempt_at - claiming.lease() >= charge.act_by


def _wait(work: UnitOfWork, charge: Charge, claimed: Charge, answer: GatewayAnswer) -> None:
    """Nothing has changed: the buyer has not confirmed, or the gateway does not let go."""
    if charge.state == State.VOIDING:
        charge.last_error = unit_of_work.clean(answer.reason, 300)
        work.note(charge, "void refused", answer.reason, amount_minor=charge.amount_minor)
        reviews.open_review(
            kind=Review.Kind.VOID_REFUSED,
            subject=str(charge.pk),
            detail=f"The gateway does not let go of {_amount_of(charge)}: {answer.reason}",
            charge=charge,
        )
        _postpone(work, charge, claimed, work.now + _pause_after_refusal(claimed.attempts))
        return
    charge.last_error = ""
    pause = backoff.exponential(
        claimed.attempts, first_seconds=FIRST_LOOK_SECONDS, longest_seconds=LONGEST_BETWEEN_LOOKS_SECONDS
    )
    look = work.now + timedelta(seconds=pause)
    # The last look is due when the time is over.
    _postpone(work, charge, claimed, min(look, charge.act_by or look))


def _in_words(was: State, following: State, answer: GatewayAnswer) -> tuple[str, str]:
    """A line of history: what, and a detail."""
    if was is State.CAPTURING and following is State.VOIDING:
        return "capture refused", answer.reason
    if was is State.ACTION_REQUIRED and following is State.VOIDING and answer.standing is PaymentStatus.ACTION:
        return transitions.NOT_IN_TIME, ""
    if following is State.VOIDING:
        return _WORDS[answer.standing], "the order is over: it is let go"
    return _WORDS[answer.standing], answer.reason


def _follow(work: UnitOfWork, charge: Charge, was: State, answer: GatewayAnswer) -> None:
    """What follows from a step that was just taken."""
    match charge.state:
        case State.ACTION_REQUIRED:
            charge.action_url = unit_of_work.clean(answer.url, 2000)
            longest = work.now + timedelta(seconds=settings.PAYMENT_ACTION_SECONDS)
            charge.act_by = min(longest, charge.act_by or longest)
            charge.next_attempt_at = work.now + timedelta(seconds=FIRST_LOOK_SECONDS)
            work.state(_action_required(charge), caused_by=charge.caused_by)
        case State.SUCCEEDED:
            work.state(_confirmed(charge), caused_by=charge.caused_by)
            if was is State.VOIDING:
                _have_it_reviewed(charge)
                work.give_back(charge, charge.left_minor, CAPTURED_ELSEWHERE)
            elif charge.cancel_requested:
                work.give_back(charge, charge.left_minor, CANCELLED_MEANWHILE)
        case State.FAILED:
            withdrawn = transitions.WITHDRAWN if answer.standing is PaymentStatus.VOIDED else answer.reason
            _fail(work, charge, withdrawn)
        case State.VOIDING if not charge.cancel_requested:
            _fail(work, charge, answer.reason if was is State.CAPTURING else transitions.NOT_IN_TIME)


def _fail(work: UnitOfWork, charge: Charge, reason: str) -> None:
    charge.failure_reason = unit_of_work.clean(reason, 120) or "declined"
    failed = catalogue.PaymentFailed(
        order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, reason=charge.failure_reason
    )
    work.state(failed, caused_by=charge.caused_by)


def _have_it_reviewed(charge: Charge) -> None:
    """Nobody of ours captures what is to be voided."""
    reviews.open_review(
        kind=Review.Kind.VOID_REFUSED,
        subject=str(charge.pk),
        detail=f"{_amount_of(charge)} were to be let go, but somebody captured them at the gateway; "
        "they go back by themselves.",
        charge=charge,
    )


def _amount_of(charge: Charge) -> str:
    return money.format_plain(charge.amount_minor, charge.currency)


def _action_required(charge: Charge) -> catalogue.PaymentActionRequired:
    return catalogue.PaymentActionRequired(
        order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, url=charge.action_url, until=charge.act_by
    )


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
        contact=charge.contact,
    )


# -- Refunds ------------------------------------------------------------------------------------------
def _settle_refunds(work: UnitOfWork, answered: Sequence[tuple[Refund, Answer]]) -> None:
    if not answered:
        return
    by_id = {refund.pk: answer for refund, answer in answered}
    found = Refund.objects.filter(pk__in=list(by_id), state=Refund.State.REQUESTED).order_by("pk")
    refunds = list(found.select_for_update())
    given = _given_back({refund.charge_id for refund in refunds})
    for refund in refunds:
        refund.charge = charge = work.charges[refund.charge_id]
        answer = by_id[refund.pk]
        if isinstance(answer, Succeeded):
            count, back_minor = given.get(charge.pk, (0, 0))
            given[charge.pk] = count + 1, back_minor + refund.amount_minor
            _refund_done(work, charge, refund, answer, *given[charge.pk])
        else:
            _refund_open(work, charge, refund, answer)
    _write_refunds(refunds)


def _given_back(charge_ids: set[UUID]) -> dict[UUID, tuple[int, int]]:
    """By charge, how many refunds of it went through, and what they came to."""
    done = Refund.objects.filter(charge__in=charge_ids, state=Refund.State.SUCCEEDED).order_by()
    sums = done.values_list("charge").annotate(Count("id"), Sum("amount_minor"))
    return {charge_id: (count, int(back_minor)) for charge_id, count, back_minor in sums}


def _refund_done(
    work: UnitOfWork, charge: Charge, refund: Refund, answer: Succeeded, number: int, back_minor: int
) -> None:
    refund.state, refund.settled_at, refund.last_error = Refund.State.SUCCEEDED, work.now, ""
    refund.transaction_id = unit_of_work.clean(answer.transaction_id, 120)
    work.note(charge, "refunded", refund.reason, amount_minor=refund.amount_minor)
    refunded = catalogue.PaymentRefunded(
        order_id=charge.order_id,
        flow=charge.flow,
        charge_id=charge.pk,
        refund_id=refund.pk,
        amount_minor=refund.amount_minor,
        currency=charge.currency,
        reason=refund.reason,
        left_minor=charge.amount_minor - back_minor,
        number=number,
    )
    work.state(refunded, caused_by=refund.caused_by or charge.caused_by)
    if refund.attempts > 1:
        for kind in (Review.Kind.REFUND_REFUSED, Review.Kind.UNKNOWN):
            reviews.settle(kind=kind, subject=str(refund.pk), note="The refund went through.")


def _refund_open(work: UnitOfWork, charge: Charge, refund: Refund, answer: Answer) -> None:
    """It stays due: with the same key it cannot be made twice."""
    if isinstance(answer, Unknown):
        what, detail = "refund unknown", answer.detail
        pause = timedelta(
            seconds=backoff.exponential(refund.attempts, first_seconds=1, longest_seconds=LONGEST_PAUSE_SECONDS)
        )
    else:
        what, detail = "refund refused", getattr(answer, "reason", str(answer))
        pause = _pause_after_refusal(refund.attempts)
        amount = money.format_plain(refund.amount_minor, charge.currency)
        reviews.open_review(
            kind=Review.Kind.REFUND_REFUSED,
            subject=str(refund.pk),
            detail=f"The gateway refuses to give {amount} back: {detail}",
            charge=charge,
        )
    refund.last_error, refund.next_attempt_at = unit_of_work.clean(detail, 300), work.now + pause
    work.note(charge, what, detail, amount_minor=refund.amount_minor)
    log.warning("%s: %s (%s); the same key again in %s", refund, what, detail, pause)


def _write_refunds(refunds: Sequence[Refund]) -> None:
    written = [
        {
            "id": refund.pk,
            "state": refund.state,
            "transaction_id": refund.transaction_id,
            "last_error": refund.last_error,
            "next_attempt_at": refund.next_attempt_at,
            "settled_at": refund.settled_at,
        }
        for refund in refunds
    ]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_REFUNDS, [bulk_rows.as_json(written)])


def _pause_after_refusal(attempts: int) -> timedelta:
    return timedelta(
        seconds=backoff.exponential(attempts, first_seconds=2, longest_seconds=LONGEST_PAUSE_AFTER_REFUSAL_SECONDS)
    )
