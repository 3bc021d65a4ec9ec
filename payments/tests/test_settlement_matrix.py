"""Each state, each answer, and each way to bar a charge: the whole matrix, by equality."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from devtools.testing.payments.charges import PRICE, answer, ask_for, claim, prevent_charge, undo
from kafka_bridge import testing
from payments import charges
from payments.gateways import Declined, PaymentStatus, Succeeded, Unknown
from payments.models import Charge, ChargeEntry, Refund, Review
from payments.state_machine import claiming, settlement
from payments.state_machine.transitions import NEXT, GatewayAnswer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
State = Charge.State
ACTION, AUTHORIZED, CAPTURED = PaymentStatus.ACTION, PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED
VOIDED, DECLINED = PaymentStatus.VOIDED, PaymentStatus.DECLINED


class End(NamedTuple):
    """What a charge has come to."""

    state: str
    stated: tuple[str, ...] = ()
    """By the step that is looked at, without the topic's name."""
    going_back: int = 0
    reviews: tuple[str, ...] = ()
    line: str = ""
    """The last line of its history but for refunds."""


# -- How a charge gets into a state ---------------------------------------------------------------------
def requested() -> None:
    ask_for("pm_success")


def action_required() -> None:
    requested()
    answer(claim(), ACTION)


def authorized() -> None:
    requested()
    answer(claim(), AUTHORIZED)


def voiding() -> None:
    authorized()
    undo(Charge.objects.get().order_id)


def succeeded() -> None:
    authorized()
    answer(claim(), CAPTURED)


def failed() -> None:
    requested()
    answer(claim(), DECLINED)


def cancelled() -> None:
    requested()
    undo(Charge.objects.get().order_id)


def taken(state: Callable[[], None]) -> Charge:
    """The charge in this state, with the gateway's call under way."""
    state()
    Charge.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    return claim()


def nobody(order_id: UUID) -> None:
    """Nobody bars it."""


def end_of(said_before: int = 0) -> End:
    charge = Charge.objects.get()
    lines = ChargeEntry.objects.exclude(what="refund requested").order_by("id")
    return End(
        charge.state,
        tuple(event.TYPE.removeprefix("payment.") for event in testing.stated()[said_before:]),
        sum(Refund.objects.values_list("amount_minor", flat=True)),
        tuple(Review.objects.values_list("kind", flat=True)),
        [*lines.values_list("what", flat=True)][-1],
    )


# -- An answer comes in, and perhaps the charge was barred meanwhile -------------------------------
FAILED = ("failed",)
BACK = {"stated": ("confirmed",), "going_back": PRICE}
ANSWERS: dict[tuple[Callable[[], None], PaymentStatus | str, Callable[[UUID], Any]], End] = {
    # A worker asked to authorize it,
    (requested, ACTION, nobody): End("action_required", ("action_required",), line="confirmation required"),
    (requested, AUTHORIZED, nobody): End("authorized", line="authorized"),
    (requested, CAPTURED, nobody): End("succeeded", ("confirmed",), line="captured"),
    (requested, VOIDED, nobody): End("failed", FAILED, line="voided"),
    (requested, DECLINED, nobody): End("failed", FAILED, line="declined"),
    (requested, "unknown", nobody): End("requested", ("unknown",), line="authorization unknown"),
    # while the order ended, or its hold ran out.
    **{
        (requested, said, bar): end
        for bar in (undo, prevent_charge)
        for said, end in {
            ACTION: End("voiding", line="confirmation required"),
            AUTHORIZED: End("voiding", line="authorized"),
            CAPTURED: End("succeeded", **BACK, line="captured"),  # type: ignore[arg-type]
            VOIDED: End("cancelled", line="voided"),
            DECLINED: End("failed", FAILED, line="declined"),
            "unknown": End("requested", line="authorization unknown"),
        }.items()
    },
    # A worker waited for the buyer,
    (action_required, ACTION, nobody): End("action_required", line="confirmation required"),
    (action_required, AUTHORIZED, nobody): End("authorized", line="authorized"),
    (action_required, CAPTURED, nobody): End("succeeded", ("confirmed",), line="captured"),
    (action_required, VOIDED, nobody): End("failed", FAILED, line="voided"),
    (action_required, DECLINED, nobody): End("failed", FAILED, line="declined"),
    (action_required, "unknown", nobody): End("action_required", line="confirmation unknown"),
    # while it was barred: it is being voided already, and what was seen before counts no more.
    **{
        (action_required, said, bar): End("voiding", line=line)
        for bar, line in ((undo, "order cancelled"), (prevent_charge, "hold ran out"))
        for said in (ACTION, AUTHORIZED, CAPTURED, VOIDED, DECLINED, "unknown")
    },
    # A worker asked to capture it. A hold that runs out bars nothing here.
    **{
        (authorized, said, bar): end
        for bar in (nobody, prevent_charge)
        for said, end in {
            ACTION: End("voiding", FAILED, line="capture refused"),
            AUTHORIZED: End("voiding", FAILED, line="capture refused"),
            CAPTURED: End("succeeded", ("confirmed",), line="captured"),
            VOIDED: End("failed", FAILED, line="voided"),
            DECLINED: End("failed", FAILED, line="declined"),
            "unknown": End("capturing", ("unknown",), line="capture unknown"),
        }.items()
    },
    (authorized, ACTION, undo): End("voiding", line="capture refused"),
    (authorized, AUTHORIZED, undo): End("voiding", line="capture refused"),
    (authorized, CAPTURED, undo): End("succeeded", **BACK, line="captured"),  # type: ignore[arg-type]
    (authorized, VOIDED, undo): End("cancelled", line="voided"),
    (authorized, DECLINED, undo): End("failed", FAILED, line="declined"),
    (authorized, "unknown", undo): End("capturing", line="capture unknown"),
    # A worker asked to let it go; barring it once more changes nothing.
    **{
        (voiding, said, bar): end
        for bar in (nobody, undo, prevent_charge)
        for said, end in {
            ACTION: End("voiding", reviews=("void_refused",), line="void refused"),
            AUTHORIZED: End("voiding", reviews=("void_refused",), line="void refused"),
            CAPTURED: End("succeeded", **BACK, reviews=("void_refused",), line="captured"),  # type: ignore[arg-type]
            VOIDED: End("cancelled", line="voided"),
            DECLINED: End("cancelled", line="declined"),
            "unknown": End("voiding", line="void unknown"),
        }.items()
    },
}


def test_the_matrix_is_whole() -> None:
    said = [ACTION, AUTHORIZED, CAPTURED, VOIDED, DECLINED, "unknown"]
    states = [requested, action_required, authorized, voiding]
    assert set(ANSWERS) == set(itertools.product(states, said, [nobody, undo, prevent_charge]))
    assert set(NEXT) == set(
        itertools.product(
            [State.REQUESTED, State.ACTION_REQUIRED, State.CAPTURING, State.VOIDING], [*PaymentStatus, None]
        )
    )


@pytest.mark.parametrize(
    ("state", "said", "bar"), list(ANSWERS), ids=lambda part: getattr(part, "__name__", "") or str(part)
)
def test_an_answer_comes_in(state: Callable[[], None], said: PaymentStatus | str, bar: Callable[[UUID], Any]) -> None:
    claimed = taken(state)
    before = len(testing.stated())
    bar(claimed.order_id)
    given = (
        GatewayAnswer(standing=said, transaction_id="sbx_by_hand", reason="because", url="https://bank.example/")
        if isinstance(said, PaymentStatus)
        else Unknown("no answer")
    )
    answer(claimed, given)
    assert end_of(before) == ANSWERS[state, said, bar]
    # The same call, heard of a second time by another process: nothing that counts happens again.
    state_after = Charge.objects.get().state
    answer(claimed, given)
    assert Charge.objects.get().state == state_after
    assert len(testing.stated()) == before + len(ANSWERS[state, said, bar].stated)
    assert Refund.objects.count() == (ANSWERS[state, said, bar].going_back > 0)
    # What is barred and not captured is nobody's, for ever.
    charge = Charge.objects.get()
    if bar is prevent_charge and state is not authorized and said is not CAPTURED:
        assert charge.order_id in prevent_charge(charge.order_id)


def test_late_means_that_the_gateway_was_asked_after_the_deadline() -> None:
    action_required()
    Charge.objects.update(act_by=timezone.now() - timedelta(seconds=60))
    Charge.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    answer(claim(), ACTION)
    assert end_of(1) == End("voiding", FAILED, line="not confirmed in time")


# -- A charge is barred for which no call is under way --------------------------------------------------
@pytest.mark.parametrize(
    ("state", "end", "is_barred"),
    [
        (requested, "cancelled", True),
        (action_required, "voiding", True),
        (authorized, "voiding", True),
        (voiding, "voiding", True),
        (failed, "failed", True),
        (cancelled, "cancelled", True),
        (succeeded, "succeeded", False),
    ],
)
def test_a_charge_is_barred(state: Callable[[], None], end: str, is_barred: bool) -> None:
    state()
    order_id = Charge.objects.get().order_id
    before = len(testing.stated())
    for _ in range(2):
        assert prevent_charge(order_id) == ({order_id} if is_barred else set())
        assert Charge.objects.get().state == end
    assert not Refund.objects.exists()
    for _ in range(2):
        undo(order_id)
        assert Charge.objects.get().state == end
        assert sum(Refund.objects.values_list("amount_minor", flat=True)) == (0 if is_barred else PRICE)
    assert len(testing.stated()) == before


@pytest.mark.parametrize("state", [succeeded, failed, cancelled])
def test_nobody_asks_for_what_is_over(state: Callable[[], None]) -> None:
    state()
    Charge.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert claiming.claim_charges(limit=10) == []


# -- What the gateway refuses needs a person ----------------------------------------------------------------
def test_a_void_that_is_refused_is_tried_again_and_its_review_closes_by_itself() -> None:
    claimed = taken(voiding)
    answer(claimed, GatewayAnswer(standing=AUTHORIZED, reason="try later"))
    review = Review.objects.get()
    assert (review.kind, review.closed_at, "try later" in review.detail) == ("void_refused", None, True)
    Charge.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    answer(claim(), VOIDED)
    review.refresh_from_db()
    assert review.closed_at is not None
    assert (review.closed_by, review.note) == ("", "It is voided.")


def refund_answered(said: Succeeded | Declined | Unknown) -> None:
    Refund.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    [refund] = claiming.claim_refunds(limit=5)
    with transaction.atomic():
        settlement.settle(charges=[], refunds=[(refund, said)])


def test_a_refund_that_is_refused_is_tried_again_and_its_review_closes_by_itself() -> None:
    succeeded()
    undo(Charge.objects.get().order_id)
    for attempt in range(1, 25):
        refund_answered(Declined("account closed"))
        refund = Refund.objects.get()
        pause = refund.next_attempt_at - timezone.now()
        assert pause <= timedelta(hours=1)
        assert (refund.state, refund.attempts, refund.last_error) == ("requested", attempt, "account closed")
    assert pause > timedelta(minutes=59)
    review = Review.objects.get()
    assert (review.kind, review.subject, review.closed_at) == ("refund_refused", str(refund.pk), None)
    assert "payment.refunded" not in {event.TYPE for event in testing.stated()}
    refund_answered(Succeeded("sbx_ref"))
    review.refresh_from_db()
    assert review.closed_at is not None
    assert [event.TYPE for event in testing.stated()] == ["payment.confirmed", "payment.refunded"]
    assert ChargeEntry.objects.filter(what="refund refused").count() == 24


def test_a_refund_without_an_answer_is_no_refusal() -> None:
    succeeded()
    undo(Charge.objects.get().order_id)
    refund_answered(Unknown("no answer"))
    assert Refund.objects.get().next_attempt_at < timezone.now() + timedelta(seconds=60)
    assert not Review.objects.exists()
    refund_answered(Succeeded("sbx_ref"))
    lines = [*ChargeEntry.objects.values_list("what", flat=True)]
    assert lines[-3:] == ["refund requested", "refund unknown", "refunded"]


def test_staff_have_the_gateway_asked_now() -> None:
    claimed = taken(requested)
    answer(claimed, Unknown("no answer"))
    assert claiming.claim_charges(limit=1) == []
    with transaction.atomic():
        charges.ask_again(charge_id=claimed.pk)
    assert claim().attempts == 2
