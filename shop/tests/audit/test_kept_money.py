"""XC1: money that the audit finds is put before a person, with a button, and the finding clears."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from devtools.testing.shop.admin_desk import run, text_of, told
from devtools.testing.shop.shop_at_rest import Shop, broken
from orders.models import Order
from payments.models import Charge, Refund, Review
from shop import audit
from shop.audit import kept_money
from shop.models import AuditEntry

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.money,
    pytest.mark.security,
    pytest.mark.usefixtures("slow_carrier"),
]
KEPT, PERSON = "captured - refunded = kept orders", "money that needs a person"


def audited() -> None:
    """What the timekeeper does."""
    audit.run(grace_seconds=0, by="test", keep_reviews=True)


def page_of(charge: Charge, name: str = "change") -> str:
    return f"/admin/payments/charge/{charge.pk}/{name}/"


def test_a_charge_without_an_order_is_a_review_with_a_button_and_clears(shop: Shop, admin_client: Client) -> None:
    charge = Charge.objects.get(order_id=shop.kept)
    Order.objects.filter(pk=shop.kept).delete()
    audited()
    review = Review.objects.get(kind=Review.Kind.KEPT)
    assert (review.subject, review.charge, review.closed_at) == (str(charge.pk), charge, None)
    assert "an order that does not exist" in review.detail
    audited()
    assert Review.objects.filter(kind=Review.Kind.KEPT).count() == 1, "it is opened once"
    assert page_of(charge, "refund") in text_of(admin_client.get(page_of(charge)))

    answer = admin_client.post(page_of(charge, "refund"), {"reason": "a ghost"}, follow=True)
    assert "will be refunded." in told(answer)[0]
    refund = Refund.objects.get(charge=charge)
    assert (refund.amount_minor, refund.reason) == (charge.amount_minor, "by admin: a ghost")
    review.refresh_from_db()
    assert review.closed_at is not None
    assert KEPT not in broken()
    entry = AuditEntry.objects.get(what="charge refunded")
    assert (entry.order_id, entry.after) == (shop.kept, {"refunded_minor": charge.amount_minor})
    audited()
    assert not Review.objects.filter(kind=Review.Kind.KEPT, closed_at=None).exists()
    run(without="orders")
    refund.refresh_from_db()
    assert refund.state == Refund.State.SUCCEEDED
    assert page_of(charge, "refund") not in text_of(admin_client.get(page_of(charge)))


def test_a_review_closes_by_itself_when_the_money_went_back_otherwise(shop: Shop) -> None:
    charge = Charge.objects.get(order_id=shop.kept)
    Order.objects.filter(pk=shop.kept).update(total_minor=charge.amount_minor - 300)
    audited()
    assert "3.00 USD too much is kept" in Review.objects.get(kind=Review.Kind.KEPT).detail
    Charge.objects.filter(pk=charge.pk).update(refunded_minor=300)
    audited()
    assert Review.objects.get(kind=Review.Kind.KEPT).closed_by == ""
    assert Review.objects.filter(kind=Review.Kind.KEPT, closed_at=None).count() == 0


def test_only_what_is_too_much_is_refunded_and_only_by_who_may(shop: Shop, admin_client: Client) -> None:
    charge = Charge.objects.get(order_id=shop.kept)
    assert kept_money.of_charges([charge.pk]) == {}
    assert "Not possible" in text_of(admin_client.get(page_of(charge, "refund")))
    admin_client.post(page_of(charge, "refund"), {"reason": "because"})
    assert not Refund.objects.filter(charge=charge).exists()
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=["view_charge", "change_charge"]))
    client = Client()
    client.force_login(clerk)
    Order.objects.filter(pk=shop.kept).delete()
    assert page_of(charge, "refund") not in text_of(client.get(page_of(charge)))
    assert client.post(page_of(charge, "refund"), {"reason": "mine"}).status_code == 403
