"""Money that needs a person: what is to be done about it, and closing it; and having the gateway asked."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from devtools.testing.shop.admin_desk import ORDERS, confirmed, text_of, told
from orders.models import Order
from payments import reviews as reviews_service
from payments.models import Charge, Refund, Review
from shop.admin.payments import reviews
from shop.models import AuditEntry, Book

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
REVIEWS, CHARGES = "/admin/payments/review/", "/admin/payments/charge/"


def found(kind: Review.Kind, subject: str, **more: Any) -> Review:
    """Something that needs a person."""
    return Review.objects.create(kind=kind, subject=subject, detail=f"what is wrong with {subject}", **more)


def everything() -> tuple[Any, ...]:
    """All that closing could change."""
    return list(Review.objects.order_by("pk").values()), LogEntry.objects.count(), AuditEntry.objects.count()


def test_every_kind_says_what_to_do(admin_client: Client) -> None:
    assert set(reviews.WHAT_TO_DO) == set(Review.Kind)
    for kind in Review.Kind:
        page = text_of(admin_client.get(f"{REVIEWS}{found(kind, kind).pk}/change/"))
        assert reviews.WHAT_TO_DO[kind] in page
        assert f"what is wrong with {kind}" in page


def test_open_ones_come_first_and_lead_to_order_and_charge(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    charge, now = Charge.objects.get(), timezone.now()
    old = found(Review.Kind.UNKNOWN, str(charge.pk), charge=charge, order_id=order.pk)
    new = found(Review.Kind.ORPHAN_PAYMENT, "pay_1")
    person = found(Review.Kind.MISMATCH, "one", closed_at=now, closed_by="ada", note="settled by phone")
    itself = found(Review.Kind.MISMATCH, "two", closed_at=now - timedelta(hours=1))
    Review.objects.filter(pk=old.pk).update(opened_at=now - timedelta(hours=3))

    def shown(**query: str) -> list[int]:
        return [row.pk for row in admin_client.get(REVIEWS, query).context["cl"].result_list]

    assert shown() == [old.pk, new.pk, person.pk, itself.pk]
    assert (shown(state="open"), shown(state="person"), shown(state="itself")) == (
        [old.pk, new.pk], [person.pk], [itself.pk],
    )  # fmt: skip
    assert shown(kind__exact="mismatch") == [person.pk, itself.pk]
    for words in (order.reference.lower(), str(order.pk), str(charge.pk)):
        assert shown(q=words) == [old.pk], words
    assert shown(q="pay_1") == [new.pk]
    listed = text_of(admin_client.get(REVIEWS))
    for words in (f"{CHARGES}{charge.pk}/change/", f"{ORDERS}{order.pk}/change/", order.reference, "for 3 h", "by ada"):
        assert words in listed, words
    assert f"{REVIEWS}{old.pk}/change/" in text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    assert "what is wrong" in text_of(admin_client.get(f"{CHARGES}{charge.pk}/change/"))


def test_one_is_closed_with_a_note(book: Book, admin_client: Client) -> None:
    order = confirmed(book)
    review = found(Review.Kind.UNKNOWN, "charge 1", order_id=order.pk)
    link = f"{REVIEWS}close/?review={review.pk}"
    assert link in text_of(admin_client.get(f"{REVIEWS}{review.pk}/change/"))
    assert "what is wrong with charge 1" in text_of(admin_client.get(link))
    before = everything()
    assert "This field is required" in text_of(admin_client.post(f"{REVIEWS}close/", {"review": review.pk}))
    assert everything() == before

    data = {"review": review.pk, "note": "the bank says that it is through"}
    assert told(admin_client.post(f"{REVIEWS}close/", data, follow=True)) == ["1 review closed."]
    review.refresh_from_db()
    assert (review.closed_by, review.note) == ("admin", "the bank says that it is through")
    assert review.closed_at is not None
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.what, entry.subject, entry.order_id) == ("admin", "review closed", "charge 1", order.pk)
    assert entry.reason == "the bank says that it is through"
    assert (entry.before["state"], entry.after["state"]) == ("open", "closed")
    assert LogEntry.objects.get().change_message == "Closed: the bank says that it is through"
    assert "close/?review" not in text_of(admin_client.get(f"{REVIEWS}{review.pk}/change/"))
    assert told(admin_client.post(f"{REVIEWS}close/", data, follow=True)) == ["1 review already closed."]
    assert AuditEntry.objects.count() == 1


def test_several_are_closed_at_once(admin_client: Client) -> None:
    rows = [found(Review.Kind.ORPHAN_PAYMENT, f"pay_{n}") for n in range(3)]
    chosen = {"action": "close_selected", "_selected_action": [row.pk for row in rows[:2]]}
    asked = text_of(admin_client.post(REVIEWS, chosen, follow=True))
    assert "Close 2 reviews" in asked
    assert Review.objects.filter(closed_at=None).count() == 3
    reviews_service.close(review_id=rows[0].pk, by="ada", note="was faster")
    answer = admin_client.post(
        f"{REVIEWS}close/", {"review": [row.pk for row in rows[:2]], "note": "given back"}, follow=True
    )
    assert told(answer) == ["1 review closed.", "1 review already closed."]
    assert list(Review.objects.order_by("pk").values_list("closed_by", "note")) == [
        ("ada", "was faster"), ("admin", "given back"), ("", ""),
    ]  # fmt: skip


def test_nobody_adds_or_edits_them_and_who_may_only_look_closes_none(admin_client: Client, viewer: Client) -> None:
    review = found(Review.Kind.ORPHAN_PAYMENT, "pay_1")
    before = everything()
    for client in (admin_client, viewer):
        assert client.get(f"{REVIEWS}add/").status_code == 403
        assert client.post(f"{REVIEWS}{review.pk}/change/", {"note": "x"}).status_code == 403
        assert client.post(f"{REVIEWS}{review.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "close/?review" not in viewer.get(f"{REVIEWS}{review.pk}/change/").content.decode()
    assert viewer.get(f"{REVIEWS}close/?review={review.pk}").status_code == 403
    assert viewer.post(f"{REVIEWS}close/", {"review": review.pk, "note": "x"}).status_code == 403
    assert "close_selected" not in viewer.get(REVIEWS).content.decode()
    assert admin_client.get(f"{REVIEWS}close/").status_code == 404
    assert everything() == before


# -- Asking the gateway now -----------------------------------------------------------------------------
def open_charge() -> Charge:
    """A charge whose outcome is unknown, and which is to be asked for again in an hour."""
    order = Order.objects.get()
    now = timezone.now()
    Charge.objects.filter(order_id=order.pk).update(
        state=Charge.State.CAPTURING, unknown_since=now, attempts=5, next_attempt_at=now + timedelta(hours=1)
    )
    return Charge.objects.get(order_id=order.pk)


def test_the_gateway_is_asked_now(book: Book, admin_client: Client) -> None:
    confirmed(book)
    charge = open_charge()
    assert "Ask the gateway now" in text_of(admin_client.get(f"{CHARGES}{charge.pk}/change/"))
    assert admin_client.get(f"{CHARGES}{charge.pk}/ask/").status_code == 405
    response = admin_client.post(f"{CHARGES}{charge.pk}/ask/", follow=True)
    assert told(response) == ["The gateway will be asked in a moment. Reload this page to see the answer."]
    charge.refresh_from_db()
    assert charge.next_attempt_at <= timezone.now()
    assert (charge.state, charge.attempts) == (Charge.State.CAPTURING, 5), "nothing else has changed"
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.what, entry.order_id) == ("admin", "gateway asked", charge.order_id)
    assert entry.subject == f"charge {charge.pk}"
    assert (entry.before["state"], entry.after["next_call"]) == ("capturing", "now")


def test_the_gateway_is_asked_for_a_refund_that_waits(book: Book, admin_client: Client) -> None:
    confirmed(book)
    charge, later = Charge.objects.get(), timezone.now() + timedelta(hours=1)
    Refund.objects.create(charge=charge, amount_minor=1250, reason="torn", attempts=9, next_attempt_at=later)
    assert "Ask the gateway now" in text_of(admin_client.get(f"{CHARGES}{charge.pk}/change/"))
    admin_client.post(f"{CHARGES}{charge.pk}/ask/")
    assert Refund.objects.get().next_attempt_at <= timezone.now()
    assert AuditEntry.objects.get().before == {"state": "succeeded", "next_call": f"{later:%Y-%m-%d %H:%M:%S} UTC"}


def test_there_is_nothing_to_ask_about_a_charge_that_is_settled(book: Book, admin_client: Client) -> None:
    confirmed(book)
    charge = Charge.objects.get()
    assert "Ask the gateway now" not in text_of(admin_client.get(f"{CHARGES}{charge.pk}/change/"))
    answer = admin_client.post(f"{CHARGES}{charge.pk}/ask/", follow=True)
    assert told(answer) == ["Nothing to ask: the charge is settled."]
    assert AuditEntry.objects.count() == 0
    assert admin_client.post(f"{CHARGES}{uuid.uuid4()}/ask/").status_code == 404


def test_who_may_only_look_has_nobody_asked(book: Book, viewer: Client) -> None:
    confirmed(book)
    charge = open_charge()
    assert "Ask the gateway now" not in viewer.get(f"{CHARGES}{charge.pk}/change/").content.decode()
    assert viewer.post(f"{CHARGES}{charge.pk}/ask/").status_code == 403
    assert Client().post(f"{CHARGES}{charge.pk}/ask/").status_code == 302
    assert Charge.objects.get().next_attempt_at == charge.next_attempt_at
