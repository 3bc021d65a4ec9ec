"""Parcels and mails in the admin."""

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devtools.testing.shop.orders import draft
from orders.actions import parcels
from orders.mailing import mails
from orders.models import Order, OrderMail, Shipment, Status
from orders.placing import placement

pytestmark = pytest.mark.django_db(transaction=True)
PARCELS, MAILS = "/admin/orders/shipment/", "/admin/orders/ordermail/"


def packed(number: int = 1) -> list[Order]:
    """So many orders with a parcel, and a mail that is not sent yet."""
    order_ids = [placement.place(draft()).order_id for _ in range(number)]
    with transaction.atomic():
        orders = list(Order.objects.locked(order_ids).values())
        for order in orders:
            order.move_to(Status.PAID, at=timezone.now())
        Order.objects.write(orders)
        parcels.pack(order_ids=order_ids)
        mails.queue(order_ids=order_ids, kind=OrderMail.Kind.CONFIRMED)
    return orders


def test_a_parcel_is_found_by_its_number_and_leads_to_its_order(admin_client: Client, client: Client) -> None:
    order, _ = packed(2)
    parcel = Shipment.objects.get(order=order)
    found = admin_client.get(PARCELS, {"q": parcel.tracking_number.lower()}).context["cl"].result_list
    assert list(found) == [parcel]
    page = f"{PARCELS}{parcel.pk}/change/"
    assert f"/admin/orders/order/{order.pk}/change/" in admin_client.get(page).content.decode()
    assert (client.get(PARCELS).status_code, client.get(page).status_code) == (302, 302)


def test_unsent_mails_are_told_from_sent_ones(admin_client: Client) -> None:
    first, second = packed(2)
    OrderMail.objects.filter(order=first).update(sent_at=timezone.now())
    for choice, order in (("sent", first), ("unsent", second)):
        rows = admin_client.get(MAILS, {"sending": choice}).context["cl"].result_list
        assert [mail.order for mail in rows] == [order]
    mail = OrderMail.objects.get(order=second)
    assert second.email in admin_client.get(f"{MAILS}{mail.pk}/change/").content.decode()


@pytest.mark.parametrize("page", [PARCELS, MAILS])
def test_nobody_edits_them(admin_client: Client, page: str) -> None:
    packed()
    pk = (Shipment if page == PARCELS else OrderMail).objects.get().pk
    assert admin_client.post(f"{page}{pk}/change/", {"state": "delivered"}).status_code == 403
    assert admin_client.post(f"{page}{pk}/delete/", {"post": "yes"}).status_code == 403
    assert Shipment.objects.get().state == Shipment.State.PACKED


@pytest.mark.parametrize("page", [PARCELS, MAILS])
def test_the_lists_ask_as_often_for_many_rows_as_for_one(admin_client: Client, page: str) -> None:
    packed()
    with CaptureQueriesContext(connection) as few:
        admin_client.get(page)
    packed(10)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(page)
    assert len(many) == len(few) <= 5
