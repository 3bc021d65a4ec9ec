"""What visitors try to get more than their share of scarce copies."""

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import transaction
from django.test import Client

from devtools.testing.payments.worker_runs import make_due
from devtools.testing.shop.flash_sales import a_sale
from devtools.testing.shop.storefront import a_book, api_order, checkout_form, put_in_cart
from events import catalogue
from inventory.models import Stock
from inventory.reservations import expiry
from kafka_bridge import testing
from kafka_bridge.publishing import outbox
from orders.models import Order, Status
from shop.models import Book
from shop.typed import emails

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quick_world"),
    pytest.mark.security,
    pytest.mark.stock,
]


def order(
    book: Book, email: str, *, client: Client | None = None, quantity: int = 1, card: str = "pm_success"
) -> Order:
    """An order on the checkout page, by a new guest if no client is given."""
    client = client or Client()
    put_in_cart(client, book, quantity)
    response = client.post("/checkout/", checkout_form(client, email=email, payment_method=card))
    assert response.status_code == 302, response.content.decode()
    return Order.objects.order_by("placed_at").last()  # type: ignore[return-value]


def kept(book: Book) -> int:
    testing.MemoryBroker().drain()
    return Order.objects.filter(lines__sku=book.isbn).exclude(status=Status.CANCELLED).count()


@pytest.mark.parametrize("flow", catalogue.FLOWS)
def test_one_mailbox_is_one_customer(flow: str, settings: Any) -> None:
    """XA7: eleven spellings, two copies."""
    settings.ORDER_FLOW = flow
    book = a_book(stock=30)
    a_sale(book, units=20, customer_limit=2)
    spellings = [
        "ada.lovelace@gmail.com", "adalovelace@gmail.com", "ADA.lovelace@gmail.com", "ada.lovelace+1@gmail.com",
        "ada.lovelace+2@gmail.com", "a.d.a.lovelace@googlemail.com",
        "adaLovelace+x+y@Gmail.com", "adalovelace@GMAIL.COM",
    ]  # fmt: skip
    for email in spellings:
        order(book, email)
    assert kept(book) == 2
    order(book, "ada.lovelace@example.com")
    order(book, "adalovelace@example.com")
    assert kept(book) == 4, "elsewhere dots make another mailbox"


@pytest.mark.parametrize("flow", catalogue.FLOWS)
def test_one_account_is_one_customer_whatever_its_addresses(flow: str, settings: Any) -> None:
    """XA7: an account with other addresses, and without signing in with the address of before."""
    settings.ORDER_FLOW = flow
    book = a_book(stock=30)
    a_sale(book, units=20, customer_limit=2)
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    counts = []
    for email in ("one@example.com", "two@example.com", "three@example.com"):
        order(book, email, client=client)
        counts.append(kept(book))
    assert counts == [1, 2, 2]
    order(book, "one@example.com")
    order(book, "two+x@example.com")
    order(book, "one@example.com")
    # Each address has one copy by the account, and may have one more.
    assert kept(book) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@example.com", "A@EXAMPLE.COM."),
        ("a+b@example.com", "a@example.com"),
        ("a.b+c@googlemail.com", "ab@gmail.com"),
    ],
)
def test_spellings(one: str, other: str) -> None:
    """XA7."""
    assert emails.canonical(one) == emails.canonical(other)
    assert emails.canonical("a.b@example.com") != emails.canonical("ab@example.com")


def test_two_guests_cannot_hold_all_copies() -> None:
    """XA5: twenty and sixteen of thirty-six, with the card that asks: the second order ends, and says why."""
    book = a_book(stock=36)
    broker = testing.MemoryBroker(duplicates=True)
    first = order(book, "a@example.com", quantity=20, card="pm_3ds")
    broker.drain()
    second = order(book, "b@example.com", quantity=16, card="pm_3ds")
    broker.drain()
    with transaction.atomic(durable=True), outbox.collect():
        assert expiry.expire_holds() == 1
    broker.drain()
    make_due()
    broker.drain()
    row = Stock.objects.get(pk=book.isbn)
    assert (row.held, row.sold, row.free) == (20, 0, 16)
    first.refresh_from_db()
    second.refresh_from_db()
    assert first.status == Status.PENDING
    assert (second.status, second.cancel_reason) == (Status.CANCELLED, "too many unpaid orders")
    [told] = [one for one in mail.outbox if second.reference in one.body and "cancelled" in one.subject]
    assert "You can order them again" in told.body
    assert "You have not been charged." in told.body
    assert order(book, "c@example.com", quantity=16).pk
    assert kept(book) == 2, "somebody who pays gets them"


def test_a_stranger_cannot_end_another_ones_order_by_naming_their_address() -> None:
    """XA5: guests are told apart by their sessions and networks, not by the address that anybody may type."""
    book = a_book(stock=8)
    mine = order(book, "ada@example.com", quantity=2, card="pm_3ds")
    for _ in range(2):
        body = api_order(book, 2, email="ada@example.com", payment_method="pm_3ds", idempotency_key=str(uuid.uuid4()))
        Client().post("/api/orders/", json.dumps(body), content_type="application/json", REMOTE_ADDR="192.0.2.9")
    testing.MemoryBroker().drain()
    with transaction.atomic(durable=True), outbox.collect():
        expiry.expire_holds()
    testing.MemoryBroker().drain()
    mine.refresh_from_db()
    assert mine.status == Status.PENDING
