"""Books, buyers and filled-in forms for the storefront's tests."""

import re
import uuid
from itertools import count
from typing import Any

from django.db import transaction
from django.test import Client

from inventory import stock_adjustments
from shop.books import isbn, pricing
from shop.models import Book, Category

_numbers = count(1)
CONTACT = {
    "name": "Ada Reader",
    "email": "ada@example.com",
    "address_line1": "1 Shelf Lane",
    "address_line2": "",
    "city": "Booktown",
    "postcode": "12345",
    "country": "US",
}


def a_book(*, stock: int = 10, shelf: str = "fiction", **fields: Any) -> Book:
    """A book for sale, so many of it in stock."""
    number = next(_numbers)
    category, _ = Category.objects.get_or_create(slug=shelf, defaults={"name": shelf.capitalize()})
    body = f"9795{number:08d}"
    defaults = {
        "isbn": body + isbn.check_digit(body),
        "title": f"Book number {number}",
        "author": "An Author",
        "price_minor": 1250,
        "year": 2024,
        "pages": 200,
        "blurb": "Read me.",
    }
    book = Book.objects.create(category=category, **(defaults | fields))
    if stock:
        with transaction.atomic():
            stock_adjustments.receive(quantities={book.isbn: stock}, reason="test")
    pricing.forget()
    return book


def put_in_cart(client: Client, book: Book, quantity: int = 1) -> None:
    """As the button on the book's page does it."""
    client.post("/cart/add/", {"sku": book.isbn, "quantity": quantity})


def checkout_form(client: Client, **changes: Any) -> dict[str, Any]:
    """What a browser would send from the checkout page as it is now, all fields filled in."""
    page = client.get("/checkout/").content.decode()
    return {
        **CONTACT,
        "payment_method": "pm_success",
        "idempotency_key": _hidden(page, "idempotency_key")[0],
        "expected_total_minor": _hidden(page, "expected_total_minor")[0],
        "line": _hidden(page, "line"),
        **changes,
    }


def api_order(book: Book, quantity: int = 1, **changes: Any) -> dict[str, Any]:
    """A body for POST /api/orders/."""
    return {
        **CONTACT,
        "idempotency_key": str(uuid.uuid4()),
        "lines": [{"sku": book.isbn, "quantity": quantity}],
        "payment_method": "pm_success",
        **changes,
    }


def _hidden(page: str, name: str) -> list[str]:
    return re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)
