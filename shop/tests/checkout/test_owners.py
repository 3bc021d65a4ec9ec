"""A checkout's key belongs to the session or account that sent it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from devtools.testing.shop.storefront import a_book, checkout_form, put_in_cart
from orders.models import Order
from shop.models import Book

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.security]


def form_of(client: Client, book: Book, **changes: Any) -> dict[str, Any]:
    put_in_cart(client, book)
    return checkout_form(client, **changes)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("signed_in", [True, False])
def test_a_foreign_key_never_shows_the_other_order(same: bool, signed_in: bool) -> None:
    """XA10: neither with other contents nor with the same ones."""
    book, buyer, stranger = a_book(), Client(), Client()
    if signed_in:
        buyer.force_login(User.objects.create_user("ada"))
        stranger.force_login(User.objects.create_user("bo"))
    form = form_of(buyer, book)
    placed = buyer.post("/checkout/", form)
    form_of(stranger, book)
    response = stranger.post("/checkout/", form if same else {**form, "city": "Elsewhere"})
    page = response.content.decode()
    order = Order.objects.get()
    assert response.status_code == 409
    assert str(order.pk) not in page
    assert order.reference not in page
    assert buyer.post("/checkout/", form)["Location"] == placed["Location"], "its owner still gets it"
    assert order.reference in buyer.post("/checkout/", {**form, "city": "Elsewhere"}).content.decode()


def test_a_double_click_is_one_order() -> None:
    """XA10: the owner is known before the form is sent."""
    client = Client()
    form = form_of(client, a_book())

    def click(_: int) -> str:
        try:
            twin = Client()
            twin.cookies = client.cookies
            return str(twin.post("/checkout/", form)["Location"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(click, range(4)))) == 1
    assert Order.objects.count() == 1
