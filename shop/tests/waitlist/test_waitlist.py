"""S9: who waits for a book is told in turn, once, and has a copy that nobody else can order."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.test import Client
from django.utils import timezone

from devtools.testing.shop import admin_desk
from devtools.testing.shop.storefront import a_book, api_order, checkout_form
from inventory import queries as stock
from inventory import stock_adjustments
from inventory.models import Hold, Movement
from inventory.redis_counters import counter_sync
from orders.models import Order, Status
from shop import audit
from shop.books import pricing
from shop.models import Book, WaitlistEntry
from shop.site import shared_pages
from shop.waitlist import joining, sending, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop, pytest.mark.stock]
State = WaitlistEntry.State


@pytest.fixture
def book() -> Book:
    """One copy there was, and it is sold."""
    book = a_book(stock=1, title="Broth")
    with transaction.atomic():
        stock_adjustments.correct(sku=book.isbn, change=-1, reason="gone", by="test")
    again()
    return book


def again() -> None:
    pricing.forget()
    shared_pages.forget()


def copies_come(book: Book, units: int) -> None:
    with transaction.atomic():
        stock_adjustments.receive(quantities={book.isbn: units}, reason="printed again")
    again()


def run() -> None:
    """What the timekeeper does within a second."""
    with transaction.atomic():
        serving.serve()
    sending.send_due()
    again()


def waits(book: Book, email: str) -> tuple[Client, str]:
    """Somebody asks on the book's page, and opens the link of the mail; returns the link as well."""
    client = Client()
    asked = client.post("/waitlist/", {"sku": book.isbn, "email": email}, follow=True)
    assert "please open its link to confirm" in asked.content.decode()
    sending.send_due()
    link = link_in(email)
    assert "Shall we write to" in client.get(link).content.decode()
    client.post(link, {"confirm": "1"})
    return client, link


def link_in(email: str) -> str:
    """The link of the last mail to this address."""
    body = next(str(each.body) for each in reversed(mail.outbox) if each.to == [email])
    return str(re.findall(r"http://[^/]+(/waitlist/\S+)", body)[0])


def assert_books_add_up() -> None:
    """Stock, orders, money and the counters in Redis."""
    counter_sync.sync()
    assert not audit.run(grace_seconds=0, by="test").broken


def told() -> list[str]:
    """To whom mails went that say that a book is back."""
    return [each.to[0] for each in mail.outbox if each.subject.startswith("It is back")]


def test_one_copy_returns_and_one_of_two_gets_it(book: Book, slow_carrier: None, client: Client) -> None:
    page = client.get(book.get_absolute_url()).content.decode()
    assert "Tell me when it is back" in page
    first, link = waits(book, "ada@example.com")
    _, second = waits(book, "bo@example.com")
    assert "with 1 before you" in client.get(second).content.decode()
    copies_come(book, 1)
    run()
    run()
    assert told() == ["ada@example.com"], "one copy, one mail, once"

    # Nobody else can order it, by the page, by the interface or past both: the ordinary pool has none.
    assert stock.free_by_pool([book.isbn]) == {book.isbn: 0}
    refused = client.post("/api/orders/", json.dumps(api_order(book)), content_type="application/json")
    assert (refused.status_code, Order.objects.count()) == (422, 0)

    assert "One copy is kept for you until" in first.get(link).content.decode()
    assert "I do not want it any more" in first.get(link).content.decode()
    assert first.post(link, {"order": "1"})["Location"] == "/checkout/"
    placed = first.post("/checkout/", checkout_form(first))
    assert placed.status_code == 302
    admin_desk.run()
    assert Order.objects.get().status == Status.PAID
    assert Hold.objects.get().bin == f"{book.isbn}@-{WaitlistEntry.objects.get(email='ada@example.com').pk}"
    assert_books_add_up()

    # Later the time is over; the copy is sold, so nothing is passed on.
    WaitlistEntry.objects.update(held_until=timezone.now() - timedelta(minutes=1))
    run()
    assert told() == ["ada@example.com"]


def test_a_copy_that_is_not_taken_goes_to_the_next_before_anybody_else(book: Book, client: Client) -> None:
    first, link = waits(book, "ada@example.com")
    waits(book, "bo@example.com")
    copies_come(book, 1)
    run()
    kept_until = WaitlistEntry.objects.get(email="ada@example.com").held_until
    assert kept_until is not None
    assert kept_until > timezone.now() + timedelta(hours=23)
    WaitlistEntry.objects.filter(email="ada@example.com").update(held_until=timezone.now() - timedelta(minutes=1))
    run()
    assert told() == ["ada@example.com", "bo@example.com"]
    assert stock.free_by_pool([book.isbn]) == {book.isbn: 0}
    assert "that time is over" in first.get(link).content.decode()
    first.post(link, {"order": "1"})
    assert first.get("/cart/").content.decode().count("Broth") == 0

    # Who does not want it leaves; it is for everybody then, since nobody waits.
    client.post(link_in("bo@example.com"), {"leave": "1"})
    run()
    assert stock.free_by_pool([book.isbn]) == {book.isbn: 1}
    assert set(WaitlistEntry.objects.values_list("state", flat=True)) == {State.OVER, State.STOPPED}
    units = Movement.objects.filter(sku=book.isbn).values_list("received", flat=True)
    assert sum(units) == 1
    assert_books_add_up()


def test_an_address_waits_once_and_only_if_its_owner_confirms(book: Book, client: Client) -> None:
    for email in ("ada@example.com", "ADA+books@example.com", "ada@example.com"):
        client.post("/waitlist/", {"sku": book.isbn, "email": email})
    sending.send_due()
    sending.send_due()
    assert [each.to for each in mail.outbox] == [["ada@example.com"]]
    copies_come(book, 5)
    run()
    assert told() == [], "it was not confirmed"
    assert stock.free_by_pool([book.isbn]) == {book.isbn: 5}
    (entry,) = WaitlistEntry.objects.all()
    wrong = f"/waitlist/{entry.pk}/{joining.key_of(entry.pk + 1)}/"
    assert client.get(wrong).status_code == client.post(wrong, {"confirm": "1"}).status_code == 404
    joining.leave(entry.pk)
    joining.confirm(entry.pk)
    entry.refresh_from_db()
    assert entry.state == State.STOPPED, "who has left is not brought back by an old link"


def test_a_mail_that_is_refused_for_good_keeps_no_copy(book: Book, settings: Any) -> None:
    waits(book, "ada@example.com")
    WaitlistEntry.objects.update(email="no\nbody@example.com")
    copies_come(book, 1)
    run()
    assert (WaitlistEntry.objects.get().state, stock.free_by_pool([book.isbn])) == (State.OVER, {book.isbn: 1})


def test_what_never_arrived_is_not_called_sold_out(client: Client) -> None:
    page = client.get(a_book(stock=0).get_absolute_url()).content.decode()
    assert "Not in stock yet" in page
    assert "It has not arrived yet." in page
    assert "found a reader" not in page
    assert "Tell me when it is there" in page
