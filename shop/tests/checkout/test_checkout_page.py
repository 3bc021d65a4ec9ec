"""The checkout page."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from devtools.testing.shop.storefront import CONTACT, a_book, checkout_form, put_in_cart
from kafka_bridge import testing
from orders import links
from orders.models import Order
from shop.books import pricing
from shop.models import Book

# Orders are committed by a thread of their own, so tests cannot hide in a transaction.
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_guest_orders(client: Client) -> None:
    one, two = a_book(price_minor=1000), a_book(price_minor=250)
    put_in_cart(client, one, 2)
    put_in_cart(client, two)
    response = client.post("/checkout/", checkout_form(client))

    order = Order.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"/orders/{order.pk}/?key={links.key_for(order.pk)}")
    assert [(line.sku, line.title, line.quantity, line.unit_price_minor) for line in order.lines.all()] == [
        (one.isbn, one.title, 2, 1000),
        (two.isbn, two.title, 1, 250),
    ]
    assert {name: getattr(order, name) for name in CONTACT} == CONTACT
    assert (order.status, order.total_minor, order.flow, order.user) == ("PENDING", 2250, "reserve_first", None)
    assert [type(event).__name__ for event in testing.stated()] == ["OrderCreated"]
    assert client.get("/cart/").context["lines"] == []
    assert "Your order is being processed" in client.get(response["Location"]).content.decode()


def test_the_same_form_again_gives_the_same_order(client: Client) -> None:
    put_in_cart(client, a_book())
    form = checkout_form(client)
    first, again = client.post("/checkout/", form), client.post("/checkout/", form)
    assert first["Location"] == again["Location"]
    assert Order.objects.count() == 1


def test_the_same_form_is_the_same_order_after_prices_and_stock_have_changed(client: Client) -> None:
    book = a_book(stock=1)
    put_in_cart(client, book)
    form = checkout_form(client)
    first = client.post("/checkout/", form)
    Book.objects.update(price_minor=9900, is_listed=False)
    pricing.forget()
    again = client.post("/checkout/", form)
    assert (again.status_code, again["Location"]) == (302, first["Location"])
    assert Order.objects.get().total_minor == 1250


def test_other_contents_in_a_used_form_are_a_409_that_shows_the_order(client: Client) -> None:
    put_in_cart(client, a_book())
    form = checkout_form(client)
    client.post("/checkout/", form)
    response = client.post("/checkout/", {**form, "city": "Elsewhere"})
    order = Order.objects.get()
    assert response.status_code == 409
    assert response.context["order"] == order
    assert f"/orders/{order.pk}/?key={links.key_for(order.pk)}" in response.content.decode()
    assert "This form has already been used" in response.content.decode()


@pytest.mark.parametrize("quantity", ["0", "-3", "21", "two", "", "1.5", "999999999999", "٣"])
def test_wrong_quantities_are_refused_and_nothing_typed_is_lost(client: Client, quantity: str) -> None:
    book = a_book(stock=50)
    put_in_cart(client, book, 2)
    response = client.post("/checkout/", checkout_form(client, line=[f"{book.isbn}:{quantity}:1250"]))
    page = response.content.decode()
    assert response.status_code == 422
    assert "The quantity must be a whole number from 1 to 20." in page
    assert [f'value="{CONTACT[name]}"' in page for name in ("name", "email", "address_line1", "city", "postcode")] == [
        True
    ] * 5
    assert [line.quantity for line in response.context["lines"]] == [2]
    assert Order.objects.count() == 0


@pytest.mark.parametrize(
    "line", ["", "x:1:1", "9795000000019:1", "9795000000019:1:-5", "9795000000019:1:1;9795000000019:1:1"]
)
def test_damaged_lines_are_refused(client: Client, line: str) -> None:
    put_in_cart(client, a_book())
    response = client.post("/checkout/", checkout_form(client, line=line.split(";")))
    assert response.status_code == 422
    assert Order.objects.count() == 0


def test_a_tampered_price_buys_nothing_at_it(client: Client) -> None:
    book = a_book(price_minor=5000)
    put_in_cart(client, book)
    form = checkout_form(client, line=[f"{book.isbn}:1:1"], expected_total_minor="1")
    response = client.post("/checkout/", form)
    assert response.status_code == 422
    assert [difference.sentence for difference in response.context["differences"]] == [
        f"“{book.title}” now costs $50.00; it was $0.01."
    ]
    assert Order.objects.count() == 0


def test_a_tampered_total_is_refused(client: Client) -> None:
    put_in_cart(client, a_book())
    response = client.post("/checkout/", checkout_form(client, expected_total_minor="1"))
    assert response.status_code == 422
    assert "The total is $12.50; you saw $0.01." in response.content.decode()
    assert Order.objects.count() == 0


def test_changed_prices_are_shown_and_agreed_to_by_sending_again(client: Client) -> None:
    book = a_book(price_minor=1000)
    put_in_cart(client, book, 2)
    form = checkout_form(client)
    Book.objects.update(price_minor=1100)
    pricing.forget()
    response = client.post("/checkout/", form)
    assert response.status_code == 422
    assert [difference.code for difference in response.context["differences"]] == ["price_changed"]
    assert response.context["total_minor"] == 2200

    agreed = {**form, "line": [f"{book.isbn}:2:1100"], "expected_total_minor": "2200"}
    assert [line.value for line in response.context["lines"]] == agreed["line"]
    assert client.post("/checkout/", agreed).status_code == 302
    assert Order.objects.get().total_minor == 2200


def test_too_little_stock_is_said_and_the_rest_can_be_ordered(client: Client) -> None:
    few, gone = a_book(stock=2), a_book(stock=0)
    put_in_cart(client, few, 5)
    put_in_cart(client, gone)
    response = client.post(
        "/checkout/",
        checkout_form(client, line=[f"{few.isbn}:5:1250", f"{gone.isbn}:1:1250"], expected_total_minor="7500"),
    )
    assert [(difference.code, difference.left) for difference in response.context["differences"]] == [
        ("not_enough", 2),
        ("sold_out", 0),
    ]
    assert [line.value for line in response.context["lines"]] == [f"{few.isbn}:2:1250"]
    assert Order.objects.count() == 0


def test_missing_fields_are_named_and_the_key_stays(client: Client) -> None:
    put_in_cart(client, a_book())
    form = checkout_form(client, email="nonsense", country="Atlantis", city="  ", payment_method="gold")
    response = client.post("/checkout/", form)
    assert response.status_code == 422
    assert sorted(response.context["form"].errors) == ["city", "country", "email", "payment_method"]
    assert str(response.context["idempotency_key"]) == form["idempotency_key"]


def test_an_empty_cart_leads_back(client: Client) -> None:
    assert client.get("/checkout/")["Location"] == "/cart/"


def test_each_form_has_a_key_of_its_own(client: Client) -> None:
    put_in_cart(client, a_book())
    keys = {checkout_form(client)["idempotency_key"] for _ in range(3)}
    assert len({uuid.UUID(key) for key in keys}) == 3


def test_a_user_is_remembered_and_owns_the_order(client: Client) -> None:
    reader = User.objects.create_user("reader", password="reader")
    client.force_login(reader)
    put_in_cart(client, a_book())
    client.post("/checkout/", checkout_form(client))
    assert Order.objects.get().user == reader
    put_in_cart(client, a_book())
    page = client.get("/checkout/")
    assert {name: page.context["form"][name].value() for name in CONTACT} == CONTACT


def test_without_a_token_nothing_is_ordered() -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/checkout/", {**CONTACT})
    assert response.status_code == 403
    assert "That form has expired" in response.content.decode()


def test_without_the_database_the_form_is_kept(client: Client, request: pytest.FixtureRequest) -> None:
    book = a_book()
    put_in_cart(client, book)
    form = checkout_form(client)
    request.getfixturevalue("database_away")

    response = client.post("/checkout/", form)
    page = response.content.decode()
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert "We could not take your order just now, and nothing was charged." in page
    assert [f'value="{value}"' in page for value in (*form["line"], form["idempotency_key"], CONTACT["name"])] == [
        True
    ] * 3


def test_without_the_database_pages_say_so(client: Client, request: pytest.FixtureRequest, settings: Any) -> None:
    settings.READYZ_TOKEN = "probe"
    request.getfixturevalue("database_away")
    client.raise_request_exception = False
    response = client.get("/")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert "The shop is catching its breath" in response.content.decode()
    ready = client.get("/readyz", headers={"authorization": "Bearer probe"})
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert ready.json()["checks"]["postgresql"] == {
        "ok": False, "error": "OperationalError", "means": "no page and no order works; see DATABASE_URL",
    }  # fmt: skip
    assert client.get("/healthz").status_code == 200
