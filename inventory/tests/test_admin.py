"""Reservations in the admin."""

from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from inventory import stock_adjustments
from inventory.models import Hold, Reservation
from inventory.reservations import holds

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/admin/inventory/reservation/"


def hold(number: int = 1) -> list[UUID]:
    """So many orders, each holding two of one book."""
    order_ids = [uuid4() for _ in range(number)]
    with transaction.atomic():
        stock_adjustments.receive(quantities={"9780000000019": 2 * number}, reason="test")
        holds.hold(requests=[holds.ReservationRequest(order_id=pk, units={"9780000000019": 2}) for pk in order_ids])
    return order_ids


def found(client: Client, words: str) -> list[UUID]:
    """The orders whose reservations a search finds."""
    return [row.pk for row in client.get(LIST, {"q": words}).context["cl"].result_list]


def test_a_reservation_is_shown_with_its_units_and_its_order(admin_client: Client, client: Client) -> None:
    (order_id,) = hold()
    assert str(Hold.objects.get()) in admin_client.get(LIST).content.decode()
    page = f"{LIST}{order_id}/change/"
    shown = admin_client.get(page).content.decode()
    assert f"/admin/orders/order/{order_id}/change/" in shown
    assert "9780000000019" in shown
    assert (client.get(LIST).status_code, client.get(page).status_code) == (302, 302)


def test_it_is_found_by_its_order(admin_client: Client) -> None:
    first, second = hold(2)
    assert found(admin_client, str(first)) == [first]
    assert found(admin_client, f" {second} ") == [second]
    assert found(admin_client, str(uuid4())) == []
    assert found(admin_client, "98") == []


def test_nobody_edits_it(admin_client: Client) -> None:
    (order_id,) = hold()
    assert admin_client.post(f"{LIST}{order_id}/change/", {"state": "sold"}).status_code == 403
    assert admin_client.post(f"{LIST}{order_id}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert Reservation.objects.get().state == Reservation.State.HELD


def test_the_list_asks_as_often_for_many_rows_as_for_one(admin_client: Client) -> None:
    hold()
    with CaptureQueriesContext(connection) as few:
        admin_client.get(LIST)
    hold(20)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(LIST)
    assert len(many) == len(few) <= 6
