"""Money that needs a person: on the list once, closed by itself, or by staff for good."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from devtools.testing.payments.charges import answer, ask_for, captured_by_hand, claim, prevent_charge, undo
from events import catalogue
from kafka_bridge import testing
from payments import jobs, reviews
from payments.gateways import PaymentStatus, Unknown
from payments.models import Charge, Refund, Review

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
Kind = Review.Kind


def open_one(detail: str = "1 USD too much") -> None:
    reviews.open_review(kind=Kind.MISMATCH, subject="pay_1", detail=detail)


def kinds() -> list[str]:
    """Of the open ones."""
    return sorted(Review.objects.filter(closed_at=None).values_list("kind", flat=True))


def test_a_matter_is_on_the_list_once() -> None:
    for _ in range(3):
        open_one()
    open_one("2 USD too much")
    assert Review.objects.get().detail == "1 USD too much"


def test_what_was_settled_by_itself_may_come_again() -> None:
    open_one()
    assert reviews.settle(kind=Kind.MISMATCH, subject="pay_1", note="Both agree.")
    assert not reviews.settle(kind=Kind.MISMATCH, subject="pay_1", note="Both agree.")
    open_one()
    assert [review.closed_at is None for review in Review.objects.order_by("id")] == [False, True]


def test_what_a_person_has_closed_comes_again_only_with_something_new() -> None:
    open_one()
    reviews.close(review_id=Review.objects.get().pk, by="ann", note="A gift.")
    open_one()
    closed = Review.objects.get()
    assert (closed.closed_by, closed.note) == ("ann", "A gift.")
    open_one("2 USD too much")
    assert kinds() == ["mismatch"]


def test_nobody_closes_what_is_closed() -> None:
    open_one()
    review_id = Review.objects.get().pk
    reviews.close(review_id=review_id, by="ann", note="A gift.")
    for number in (review_id, review_id + 1):
        with pytest.raises(reviews.NotOpen, match=str(number)):
            reviews.close(review_id=number, by="bob", note="Mine.")
    assert Review.objects.get().closed_by == "ann"


# -- Outcomes that nobody has known for long --------------------------------------------------------------
def unknown_for(minutes: int) -> Charge:
    ask_for("pm_success")
    charge = claim()
    answer(charge, Unknown("no answer"))
    since = timezone.now() - timedelta(minutes=minutes)
    Charge.objects.update(unknown_since=since, next_attempt_at=since)
    return charge


def test_an_outcome_unknown_for_long_needs_a_person_until_the_answer_comes() -> None:
    charge = unknown_for(minutes=16)
    for _ in range(2):
        jobs.review_unknown()
    review = Review.objects.get()
    assert (review.kind, review.subject, review.charge, review.order_id) == (
        "unknown", str(charge.pk), charge, charge.order_id,
    )  # fmt: skip
    answer(claim(), Unknown("still none"))
    jobs.review_unknown()
    assert kinds() == ["unknown"]
    Charge.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    answer(claim(), PaymentStatus.AUTHORIZED)
    review.refresh_from_db()
    assert (kinds(), review.closed_by, review.note) == ([], "", "The gateway answered: authorized.")
    jobs.review_unknown()
    assert kinds() == []


def test_an_outcome_unknown_for_a_short_time_does_not() -> None:
    unknown_for(minutes=14)
    jobs.review_unknown()
    assert kinds() == []


def test_it_stays_on_the_list_when_the_order_ends_meanwhile() -> None:
    """Whether something is set aside nobody knows before the gateway answers."""
    charge = unknown_for(minutes=16)
    jobs.review_unknown()
    undo(charge.order_id)
    assert prevent_charge(charge.order_id) == {charge.order_id}
    assert kinds() == ["unknown"]
    answer(claim(), PaymentStatus.AUTHORIZED)
    answer(claim(), PaymentStatus.VOIDED)
    assert (kinds(), Charge.objects.get().state) == ([], "cancelled")


def test_a_refund_that_is_not_through_for_long_needs_a_person() -> None:
    undo(captured_by_hand())
    Refund.objects.update(attempts=1, created_at=timezone.now() - timedelta(minutes=16))
    jobs.review_unknown()
    assert [(r.kind, r.subject) for r in Review.objects.all()] == [("unknown", str(Refund.objects.get().pk))]


def test_a_refused_refund_is_not_also_an_unknown_one() -> None:
    undo(captured_by_hand())
    refund = Refund.objects.get()
    Refund.objects.update(attempts=1, created_at=timezone.now() - timedelta(minutes=16))
    reviews.open_review(kind=Kind.REFUND_REFUSED, subject=str(refund.pk), detail="no", charge=refund.charge)
    jobs.review_unknown()
    assert kinds() == ["refund_refused"]


# -- Events that orders did not believe -------------------------------------------------------------------
def test_a_payment_that_orders_did_not_believe_needs_a_person() -> None:
    """FAILURES 27: it was stated from outside."""
    order_id = captured_by_hand()
    for_nobody = uuid4()
    for number, about in enumerate((order_id, for_nobody)):
        refused = catalogue.OrderPaymentRefused(
            order_id=about, flow=catalogue.RESERVE_FIRST, charge_id=uuid4(), amount_minor=1, currency="USD",
            why="payments has captured another sum",
        )  # fmt: skip
        testing.give("payments", refused, topic_offset=number)
    found = {review.order_id: review for review in Review.objects.all()}
    assert kinds() == ["event_refused", "event_refused"]
    assert found[order_id].charge == Charge.objects.get()
    assert found[for_nobody].charge is None
    assert "0.01 USD" in found[order_id].detail
    assert Charge.objects.get().state == "succeeded"


def test_a_review_belongs_to_what_opened_it() -> None:
    """It is rolled back with it."""
    with pytest.raises(RuntimeError), transaction.atomic():
        open_one()
        raise RuntimeError
    assert kinds() == []
