"""B1: looks, searches and carts are counted without saying whose, and for nobody who asks not to be."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from devtools.testing.shop.storefront import a_book, put_in_cart
from events import catalogue
from kafka_bridge.publishing import lossy_publisher
from shop.activity import counting, privacy, sending
from shop.activity.counting import CartChange, Counts, Search, View
from shop.site import shared_answers, shared_pages

pytestmark = [pytest.mark.django_db, pytest.mark.window]
GPC, DNT = {"Sec-GPC": "1"}, {"DNT": "1"}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counts]:
    """What this process counts, with nobody sending it."""
    sender = sending.Sender()
    monkeypatch.setattr(sending, "_sender", sender)
    shared_pages.forget()
    yield sender.counts
    shared_pages.forget()


def told(counts: Counts) -> list[Any]:
    """What would be sent now."""
    return list(sending.events(counts.take()))


def test_every_look_counts_also_at_a_page_that_was_made_once(client: Client, counts: Counts) -> None:
    book = a_book()
    for address in (book.get_absolute_url(), book.get_absolute_url(), "/", "/?category=fiction", "/cart/"):
        assert client.get(address).status_code == 200
    client.head("/")
    assert told(counts) == [
        catalogue.PageViewed(page="book", sku=book.isbn, views=2),
        *(catalogue.PageViewed(page=page, views=1) for page in ("front", "list", "cart")),
    ]


def scope(**headers: str) -> SimpleNamespace:
    """A request as granian has it."""
    return SimpleNamespace(
        method="GET", scheme="http", path="/", query_string="", authority=None, headers={"host": "shop", **headers}
    )


def test_a_look_at_what_is_sent_from_memory_counts(counts: Counts) -> None:
    mark = shared_answers.mark(View("book", "9780000000002"))
    sent = [("Content-Type", "text/html"), (shared_answers.IS_SHARED, mark)]
    answer = shared_answers.keep(scope(), 200, sent, b"page")
    assert answer is not None
    assert shared_answers.IS_SHARED not in dict(answer.headers), "it does not leave the process"
    assert shared_answers.find(scope()) is answer
    assert shared_answers.find(scope(dnt="1")) is shared_answers.find(scope(**{"sec-gpc": "1"})) is answer
    assert told(counts) == [catalogue.PageViewed(page="book", sku="9780000000002", views=1)]


@pytest.mark.parametrize("headers", [GPC, DNT])
def test_who_asks_not_to_be_counted_is_not(client: Client, counts: Counts, headers: dict[str, str]) -> None:
    book = a_book()
    for address in ("/", book.get_absolute_url(), "/?q=nothing"):
        client.get(address, headers=headers)
    client.post("/cart/add/", {"sku": book.isbn, "quantity": 1}, headers=headers)
    client.get("/cart/", headers=headers)
    assert told(counts) == []


def test_what_a_cart_goes_through(client: Client, counts: Counts) -> None:
    book = a_book(stock=30)
    put_in_cart(client, book, 2)
    put_in_cart(client, book, 3)
    client.post("/cart/change/", {"sku": book.isbn, "quantity": 1})
    client.post("/cart/change/", {"sku": book.isbn, "quantity": 1})
    client.post("/cart/change/", {"sku": book.isbn, "remove": ""})
    client.post("/cart/change/", {"sku": book.isbn, "remove": ""})
    assert told(counts) == [
        catalogue.CartChanged(sku=book.isbn, change=change, copies=copies, times=1)
        for change, copies in (("added", 2), ("more", 3), ("fewer", 4), ("removed", 1))
    ]


def test_a_search_counts_once_with_what_it_found(client: Client, counts: Counts) -> None:
    a_book(title="Whale Songs")
    for query in ("q=WHALE", "q=whale", "q=whale&sort=title", "q=whale&page=2", "q=xyzzy", "q=ada@example.com"):
        client.get(f"/?{query}")
    searches = [event for event in told(counts) if isinstance(event, catalogue.SearchMade)]
    assert searches == [
        catalogue.SearchMade(words=words, found=found, times=times)
        for words, found, times in (("whale", 1, 2), ("xyzzy", 0, 1), ("", 0, 1))
    ]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("  Moby   Dick ", "moby dick"),
        ("978-0-306-40615-7", "978-0-306-40615-7"),
        ("0306406152", "0306406152"),
        ("030640615X", "030640615x"),
        ("Catch 22", "catch 22"),
        ("1984 orwell", "1984 orwell"),
        ("ada@example.com", ""),
        ("ada (at) example", "ada (at) example"),
        ("write to ada@example", ""),
        ("https://shop.example/orders/1?key=2", ""),
        ("www.example.com", ""),
        ("+1 202 555 0143", ""),
        ("4242 4242 4242 4242", ""),
        ("order 123456", ""),
        ("x" * 61, ""),
        ("a\x00b", ""),
    ],
)
def test_which_words_are_told(typed: str, words: str) -> None:
    assert privacy.tellable(typed) == words
    assert privacy.tellable(words) == words


def test_nothing_tells_who_it_was(counts: Counts) -> None:
    """Two visitors, one of them signed in: what is told does not differ, and has no field for more."""
    book = a_book()
    get_user_model().objects.create_user("ada", password="secret-words")
    member, guest = Client(), Client()
    member.login(username="ada", password="secret-words")
    found = []
    for client in (member, guest):
        client.get(book.get_absolute_url(), headers={"User-Agent": "x", "Referer": "http://a.example/"})
        put_in_cart(client, book)
        found.append(told(counts))
    assert found[0] == found[1] != []
    assert catalogue.PageViewed.__struct_fields__ == ("page", "sku", "views")
    assert catalogue.SearchMade.__struct_fields__ == ("words", "found", "times")
    assert catalogue.CartChanged.__struct_fields__ == ("sku", "change", "copies", "times")


def lost(why: str) -> float:
    """How many were lost so far."""
    return float(lossy_publisher.LOST.labels(why)._value.get())


def test_made_up_words_do_not_fill_the_memory() -> None:
    counts, before = Counts(), lost(lossy_publisher.FULL)
    for number in range(counting.FACTS_MAX + 50):
        counts.note(Search(f"word {number}", 0))
        counts.note(CartChange("9780000000002", "added"), 1)
    assert lost(lossy_publisher.FULL) - before == 51
    found = counts.take()
    assert len(found) == counting.FACTS_MAX
    tally = found[CartChange("9780000000002", "added")]
    assert tally.times == tally.copies == counting.FACTS_MAX + 50
    assert counts.take() == {}


def test_it_is_off_by_a_setting(settings: Any, client: Client) -> None:
    settings.ACTIVITY_EVENTS = False
    sending.start()
    assert sending.counts() is None
    assert client.get("/").status_code == 200
