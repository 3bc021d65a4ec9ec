"""Pages of the shop, asked for by a stranger with whatever can be typed: each has an answer, and a small one."""

import random
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from devtools.testing.shop import strange_words
from devtools.testing.shop.storefront import a_book
from shop.books.search import matching
from shop.models import Book

pytestmark = [pytest.mark.security, pytest.mark.django_db(transaction=True)]
NAMES = ("q", "sort", "page", "category", "format", "language", "author", "series", "as", "p")
ANSWER_BYTES = 300_000


def addresses(chance: random.Random, book: Book) -> str:
    """One address with a query."""
    slug = quote(strange_words.word(chance).replace("/", "")[:150], safe="")
    path = chance.choice(
        (
            "/", "/suggest/", f"/authors/{book.author_slug}/", f"/series/{book.series_slug}/", f"/authors/{slug}/",
            f"/series/{slug}/", f"/books/{book.isbn}-{slug}/", f"/books/{book.isbn}/panel/", f"/covers/{book.isbn}.svg",
            reverse("contracts"), reverse("asyncapi"), "/kafka/", "/kafka/break/", "/kafka/experiments/",
            "/robots.txt", "/sitemap.xml", "/sitemap-books.xml", "/sitemap-authors.xml", f"/sitemap-{slug}.xml",
        )
    )  # fmt: skip
    return f"{path}?{urlencode(strange_words.pairs(chance, NAMES))}"


@pytest.mark.parametrize("inputs", [250, pytest.param(5_000, marks=pytest.mark.prove)])
def test_whatever_a_stranger_asks_for_is_answered(inputs: int) -> None:
    book = a_book(series="A Series", title="The Cartographer's Daughter")
    chance = random.Random(20)  # noqa: S311 - the same inputs each time
    client, wrong = Client(raise_request_exception=False), list[Any]()
    for number in range(inputs):
        address = addresses(chance, book)
        method = chance.choice(("get", "get", "get", "head", "post"))
        headers = {"hx-request": "true"} if chance.random() < 0.3 else {}
        # From many networks, so that no limit ends it.
        network = f"10.{number // 250}.{number % 250}.1"
        answer = getattr(client, method)(address, headers=headers, REMOTE_ADDR=network)
        text = answer.content.decode(errors="replace")
        is_safe = "<script>alert" not in text and "<h1>49" not in text and len(answer.content) < ANSWER_BYTES
        if answer.status_code >= 500 or not is_safe:
            wrong.append((answer.status_code, method, address[:300], len(answer.content)))
    assert not wrong
    assert Book.objects.get().title == book.title


def questions(client: Client, address: str, typed: str) -> int:
    """How often PostgreSQL is asked for one page."""
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address, {"q": typed}).status_code == 200
    return len(asked)


@pytest.mark.parametrize("address", ["/", "/suggest/"])
def test_no_words_make_a_search_ask_the_database_more_and_more(address: str, client: Client) -> None:
    """A letter may stand for eight words, so a hundred letters are no bound."""
    a_book(title="The Glasshouse Alibi")
    usual = questions(client, address, "glasshouse")
    for typed in ("🫢" * 100, "a b " * 25, "qqqqqqqq " * 11, "alibi " * 16):
        assert questions(client, address, typed) <= usual + 2 * matching.WORDS_MAX, typed
