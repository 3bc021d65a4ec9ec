"""Saved addresses, all data in one file, and the end of an account that leaves the books as they were. S1."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.shop.admin_desk import place, run
from devtools.testing.shop.storefront import CONTACT, a_book, put_in_cart
from orders.models import Order
from shop.accounts import address_book
from shop.checkout import owners
from shop.models import AccountMail, AuditEntry, SavedAddress

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop]
PASSWORD = "Long-enough-17"
ADA = "ada@example.com"
ADDRESS = {name: CONTACT[name] for name in address_book.FIELDS}


@pytest.fixture(autouse=True)
def fast_carrier(settings: Any, sandbox_gateway: InProcessGateway) -> None:
    """A gateway without delays, and parcels that are there as soon as they are packed."""
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 0


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("Ada", ADA, PASSWORD)


@pytest.fixture
def ada_here(ada: User) -> Client:
    """One in which she is signed in."""
    client = Client()
    client.force_login(ada)
    return client


def delivered(user: User) -> Order:
    order_id = place(a_book(), user_id=user.pk, visitor=owners.pseudonym_of(f"account:{user.pk}"))
    run()
    order = Order.objects.get(pk=order_id)
    assert order.status == "DELIVERED"
    return order


# -- Saved addresses --------------------------------------------------------------------------------
def test_the_checkout_fills_in_a_saved_address(ada: User, ada_here: Client) -> None:
    put_in_cart(ada_here, a_book())
    for street in ("1 Shelf Lane", "2 Quay", "2 Quay"):
        assert ada_here.post("/account/addresses/", {**ADDRESS, "address_line1": street}).status_code == 302
    first, second = address_book.of_account(ada.pk)
    assert (first.address_line1, first.is_default, second.is_default) == ("1 Shelf Lane", True, False)
    assert ada_here.get("/checkout/").context["form"]["address_line1"].value() == "1 Shelf Lane"
    chosen = ada_here.get(f"/checkout/?address={second.pk}")
    assert chosen.context["form"]["address_line1"].value() == "2 Quay"
    ada_here.post("/account/addresses/", {"address": second.pk, "default": ""})
    assert ada_here.get("/checkout/").context["form"]["address_line1"].value() == "2 Quay"
    ada_here.post("/account/addresses/", {"address": second.pk, "remove": "1"})
    assert [address.is_default for address in address_book.of_account(ada.pk)] == [True]


@pytest.mark.security
def test_an_address_is_nobody_elses(ada: User, ada_here: Client) -> None:
    other = Client()
    other.force_login(User.objects.create_user("bo"))
    ada_here.post("/account/addresses/", ADDRESS)
    address = SavedAddress.objects.get()
    for act in ("remove", "default"):
        other.post("/account/addresses/", {"address": address.pk, act: "1"})
    put_in_cart(other, a_book())
    assert not other.get(f"/checkout/?address={address.pk}").context["form"]["address_line1"].value()
    assert address_book.of_account(ada.pk) == [address]
    assert other.post("/account/addresses/", {"address": "9" * 30, "remove": "1"}).status_code == 302


def test_an_address_that_cannot_be_right_is_explained(ada_here: Client) -> None:
    answer = ada_here.post("/account/addresses/", {**ADDRESS, "city": "", "country": "XX"})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"city", "country"}


# -- All data ---------------------------------------------------------------------------------------
def test_all_data_in_one_file(ada: User, ada_here: Client) -> None:
    order = delivered(ada)
    ada_here.post("/account/addresses/", ADDRESS)
    put_in_cart(ada_here, a_book(), 3)
    answer = ada_here.post("/account/data/")
    assert "attachment" in answer["Content-Disposition"]
    found = json.loads(answer.content)
    assert (found["account"]["email"], found["saved_addresses"][0]["city"]) == (ADA, "Booktown")
    assert found["cart"][0]["quantity"] == 3
    (told,) = found["orders"]
    assert (told["reference"], told["name"], len(told["lines"])) == (order.reference, "Ada Reader", 1)
    assert {mail["kind"] for mail in told["mails"]} == {"confirmed", "shipped", "delivered"}
    assert told["parcel"]["state"] == "delivered"
    assert told["trail"]
    assert found["payments"][0]["amount_minor"] == order.total_minor
    stated = {event["type"] for event in found["events"]}
    assert {"order.created", "order.delivered", "payment.confirmed"} <= stated
    assert found["pseudonym_in_events"] in json.dumps(found["events"])
    assert [ada_here.post("/account/data/").status_code for _ in range(5)][-1] == 429


# -- The end of an account ------------------------------------------------------------------------------
def everything() -> dict[str, list[str]]:
    """All rows that the database holds, by table, but for the owner's last mail."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        tables = [name for (name,) in cursor.fetchall() if name not in ("shop_accountmail", "django_session")]
        found = {}
        for table in tables:
            cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t ORDER BY 1')  # noqa: S608 - its own names
            found[table] = [row for (row,) in cursor.fetchall()]
    return found


def test_who_deletes_the_account_is_gone_and_the_books_are_as_they_were(ada: User, ada_here: Client) -> None:
    order, other = delivered(ada), place(a_book(), name="Bo Buyer", email="bo@example.com")
    run()
    ada_here.post("/account/addresses/", ADDRESS)
    assert ada_here.post("/account/delete/", {"password": "no"}).status_code == 422
    before = everything()
    assert ada_here.post("/account/delete/", {"password": PASSWORD})["Location"] == "/"
    assert ada_here.get("/account/").status_code == 302
    assert not User.objects.exists()
    left = everything()
    rows = [row for found in left.values() for row in found if str(other) not in row]
    for trace in ("Ada Reader", ADA, "1 Shelf Lane"):
        assert [row for row in rows if trace in row] == []
    books = ("orders_orderline", "orders_trailentry", "payments_charge", "inventory_movement", "kafka_bridge_outboxrow")
    assert {table: left[table] for table in books} == {table: before[table] for table in books}
    assert all(left[table] for table in books)
    kept = Order.objects.get(pk=order.pk)
    assert (kept.total_minor, kept.status, kept.country, kept.user_id) == (order.total_minor, "DELIVERED", "US", None)
    assert kept.lines.count() == 1
    assert AuditEntry.objects.get(what="account deleted").who in kept.email
    assert AccountMail.objects.get().to == ADA
    assert Client().post("/sign-in/", {"username": ADA, "password": PASSWORD}).status_code == 200


def test_an_order_under_way_comes_first(ada: User, ada_here: Client) -> None:
    """Which one is said; once it is finished the account goes."""
    order = Order.objects.get(pk=place(a_book(), user_id=ada.pk))
    page = ada_here.post("/account/delete/", {"password": PASSWORD})
    assert order.reference in page.content.decode()
    assert User.objects.filter(pk=ada.pk).exists()
    run()
    assert ada_here.post("/account/delete/", {"password": PASSWORD}).status_code == 302


@pytest.mark.security
def test_staff_do_not_delete_themselves_from_the_shop(client: Client) -> None:
    boss = User.objects.create_superuser("boss", password=PASSWORD)
    client.force_login(boss)
    assert "account of staff" in client.post("/account/delete/", {"password": PASSWORD}).content.decode()
    assert User.objects.filter(pk=boss.pk).exists()
