"""The cart of guests and users."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from devtools.testing.shop.storefront import a_book, put_in_cart
from shop.books import pricing
from shop.cart import carts
from shop.models import Book, CartLine

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(client: Client) -> User:
    """A buyer with an account, not signed in yet."""
    return User.objects.create_user("reader", password="reader")


def shown(client: Client) -> list[tuple[str, int]]:
    """The cart as its page shows it."""
    return [(line.sku, line.quantity) for line in client.get("/cart/").context["lines"]]


def test_a_guest_puts_in_changes_and_takes_out(client: Client) -> None:
    one, two = a_book(), a_book()
    put_in_cart(client, one, 2)
    put_in_cart(client, two)
    put_in_cart(client, one)
    assert shown(client) == [(one.isbn, 3), (two.isbn, 1)]
    assert str(client.get("/").context["cart_count"]) == "4"

    client.post("/cart/change/", {"sku": one.isbn, "quantity": 5})
    client.post("/cart/change/", {"sku": two.isbn, "quantity": 1, "remove": 1})
    assert shown(client) == [(one.isbn, 5)]
    assert client.get("/cart/").context["total_minor"] == 5 * 1250


@pytest.mark.parametrize("quantity", ["0", "-3", "21", "two", "", "1.5", "1e1"])
def test_wrong_quantities_are_refused_in_words(client: Client, quantity: str) -> None:
    book = a_book(stock=30)
    response = client.post("/cart/add/", {"sku": book.isbn, "quantity": quantity}, follow=True)
    assert "The quantity must be a whole number from 1 to 20." in response.content.decode()
    assert shown(client) == []

    put_in_cart(client, book, 2)
    client.post("/cart/change/", {"sku": book.isbn, "quantity": quantity})
    assert shown(client) == [(book.isbn, 2)]


def test_a_book_stands_in_the_cart_twenty_times_at_the_most(client: Client) -> None:
    book = a_book(stock=50)
    put_in_cart(client, book, 15)
    response = client.post("/cart/add/", {"sku": book.isbn, "quantity": 15}, follow=True)
    assert shown(client) == [(book.isbn, 20)]
    assert "the maximum for one order" in response.content.decode()


def test_what_is_not_for_sale_cannot_be_put_in(client: Client) -> None:
    hidden = a_book(is_listed=False)
    put_in_cart(client, hidden)
    client.post("/cart/add/", {"sku": "'; DROP TABLE", "quantity": 1})
    client.post("/cart/add/", {})
    assert shown(client) == []


def test_a_cart_has_room_for_fifty_books(client: Client) -> None:
    for _ in range(51):
        put_in_cart(client, a_book())
    assert len(shown(client)) == 50


def test_buy_now_goes_to_the_checkout_and_does_not_double(client: Client) -> None:
    book = a_book()
    for _ in range(2):
        response = client.post("/cart/add/", {"sku": book.isbn, "quantity": 2, "then": "checkout"})
        assert (response.status_code, response["Location"]) == (302, "/checkout/")
    assert shown(client) == [(book.isbn, 2)]


def test_changed_prices_and_stock_are_said(client: Client) -> None:
    dearer, fewer, sold, gone = a_book(), a_book(stock=2), a_book(stock=0), a_book()
    for book in (dearer, fewer, sold, gone):
        put_in_cart(client, book, 5)
    Book.objects.filter(pk=dearer.pk).update(price_minor=1400)
    Book.objects.filter(pk=gone.pk).update(is_listed=False)
    pricing.forget()

    response = client.get("/cart/")
    assert [[notice.sentence for notice in line.notices] for line in response.context["lines"]] == [
        [f"“{dearer.title}” now costs $14.00; it was $12.50."],
        [f"Only 2 copies of “{fewer.title}” are left; you asked for 5."],
        [f"“{sold.title}” is sold out."],
        [f"The book with ISBN {gone.isbn} is not for sale."],
    ]
    # Of the second there are two, of the third none: the total is that of what can be had.
    assert response.context["total_minor"] == 5 * 1400 + 2 * 1250
    assert response.context["blocked"] is True


def test_signing_in_brings_the_guests_cart_along(client: Client, reader: User) -> None:
    ours, theirs, both = a_book(), a_book(), a_book()
    kept = carts.UserCart(reader.pk)
    for book, quantity in ((theirs, 1), (both, 4)):
        kept.put(carts.CartEntry(sku=book.isbn, quantity=quantity, seen_price_minor=1250))
    put_in_cart(client, ours, 2)
    put_in_cart(client, both, 3)

    client.post("/sign-in/", {"username": "reader", "password": "reader"})
    assert shown(client) == [(theirs.isbn, 1), (both.isbn, 4), (ours.isbn, 2)]
    assert CartLine.objects.filter(user=reader).count() == 3

    client.post("/sign-out/")
    assert shown(client) == []
    other_device = Client()
    other_device.force_login(reader)
    assert shown(other_device) == [(theirs.isbn, 1), (both.isbn, 4), (ours.isbn, 2)]


def test_a_users_cart_can_do_what_a_guests_can(client: Client, reader: User) -> None:
    client.force_login(reader)
    one, two = a_book(), a_book()
    put_in_cart(client, one, 2)
    put_in_cart(client, two)
    client.post("/cart/change/", {"sku": one.isbn, "quantity": 7})
    client.post("/cart/change/", {"sku": two.isbn, "remove": 1})
    assert shown(client) == [(one.isbn, 7)]
    assert "Nothing in it yet" in Client().get("/cart/").content.decode()
