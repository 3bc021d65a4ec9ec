"""S4, XD7: what is counted is true, whatever is asked for; and stays so however a book is changed."""

import random
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from devtools.testing.shop.flash_sales import a_sale
from devtools.testing.shop.storefront import a_book
from inventory import stock_adjustments
from shop.books import isbn, pricing
from shop.books.search import facets, in_stock, searching, selection
from shop.books.search import index as search_index
from shop.books.search.searching import SearchRequest
from shop.models import Book, BookDue, BookSearch, Category

pytestmark = [pytest.mark.django_db, pytest.mark.shop]
BOOKS, QUESTIONS = 120, 150
WORDS = ("river", "garden", "winter", "ledger")
SHELVES = ("fiction", "history", "food")
Known = dict[str, Any]


@pytest.fixture
def shelves() -> list[Known]:
    """Many books of all kinds, as Python knows them: what a brute count is made of."""
    chance = random.Random(3)  # noqa: S311 - to be repeatable
    made = {slug: Category.objects.create(slug=slug, name=slug.capitalize()) for slug in SHELVES}
    known = [_known(chance, number) for number in range(BOOKS)]
    books = [
        Book(
            isbn=one["isbn"], title=one["title"], author="Ada Quinn", category=made[one["category"]],
            format=one["format"], language=one["language"], price_minor=one["price"], is_listed=one["is_listed"],
            year=2000, pages=100, blurb="",
        )
        for one in known
    ]  # fmt: skip
    for book in books:
        book.fill_search_fields()
    Book.objects.bulk_create(books)
    search_index.put(books)
    with transaction.atomic():
        stock_adjustments.receive(quantities={one["isbn"]: 3 for one in known if one["stock"]}, reason="test")
    _sell_some(known)
    pricing.forget()
    return known


def _known(chance: random.Random, number: int) -> Known:
    body = f"9795{number:08d}"
    return {
        "isbn": body + isbn.check_digit(body),
        "title": " ".join(chance.sample(WORDS, 2)),
        "category": chance.choice(SHELVES),
        "format": chance.choice(("paperback", "hardback")),
        "language": chance.choice(("en", "vi", "fr")),
        "price": chance.choice((500, 999, 1000, 1499, 1500, 2000, 2999, 3000, 4500)),
        "stock": chance.random() < 0.6,
        "is_listed": chance.random() < 0.9,
    }


def _sell_some(known: list[Known]) -> None:
    """One in a sale has another price, and its own copies; one has none left outside of the sale."""
    for one, units in zip([each for each in known if each["stock"] and each["is_listed"]][:2], (3, 1), strict=True):
        a_sale(Book.objects.get(isbn=one["isbn"]), price_minor=400, units=units)
        one["price"] = 400


def band(price: int) -> str:
    ends = {"-10": (0, 1000), "10-15": (1000, 1500), "15-20": (1500, 2000), "20-30": (2000, 3000), "30-": (3000, 10**9)}
    return next(name for name, (low, high) in ends.items() if low <= price < high)


def value(one: Known, name: str) -> str:
    if name == "price":
        return band(one["price"])
    return ("now" if one["stock"] else "") if name == "stock" else str(one[name])


def answers(one: Known, words: str, filters: dict[str, str]) -> bool:
    has_words = all(word in one["title"].split() for word in words.split())
    return one["is_listed"] and has_words and all(value(one, name) == wish for name, wish in filters.items())


def test_counts_are_those_of_a_count_by_hand(shelves: list[Known]) -> None:
    chance = random.Random(5)  # noqa: S311
    for number in range(QUESTIONS):
        if number == QUESTIONS // 2:  # the timekeeper comes, and nothing is different
            assert in_stock.follow() > 0 == in_stock.follow()
            facets.compact()
        words = " ".join(chance.sample(WORDS, chance.choice((0, 0, 1, 1, 2))))
        some = chance.choice(shelves)
        chosen = chance.sample(facets.COUNTED, chance.choice((0, 1, 2, 3)))
        filters = {name: wish for name in chosen if (wish := value(some, name))}
        counts = facets.counts(words, filters)
        assert counts.total == sum(answers(one, words, filters) for one in shelves), (words, filters)
        assert counts.any == sum(answers(one, words, {}) for one in shelves)
        for name in facets.COUNTED:
            others = {other: wish for other, wish in filters.items() if other != name}
            by_hand: dict[str, int] = {}
            for one in shelves:
                if answers(one, words, others) and value(one, name):
                    by_hand[value(one, name)] = by_hand.get(value(one, name), 0) + 1
            assert counts.by[name] == by_hand, (words, filters, name)
        wanted = SearchRequest.from_query({"q": words, **filters, "sort": chance.choice(list(searching.SORTS))})
        listed = searching.books(wanted, limit=BOOKS)
        assert {book.isbn for book in listed} == {one["isbn"] for one in shelves if answers(one, words, filters)}


def test_a_book_is_in_stock_while_there_are_copies_whoever_has_looked() -> None:
    book = a_book(stock=2)
    for change, left in ((0, 1), (-2, 0), (5, 1), (-1, 1)):
        if change:
            with transaction.atomic():
                stock_adjustments.correct(sku=book.isbn, change=change, reason="test", by="test")
        for look in range(2):
            assert facets._kinds("", {})[0][0][-1] == ("now" if left else ""), (change, look)
            while look == 0 and in_stock.follow():
                pass
        Book.objects.filter(pk=book.pk).update(is_in_stock=not left)
        assert Book.objects.get().is_in_stock == bool(left), "a trigger knows better"
    assert [row.is_in_stock for row in Book.objects.all()] == [row.is_in_stock for row in BookSearch.objects.all()]


@pytest.mark.usefixtures("shelves")
def test_the_page_leads_to_what_it_counts(client: Client) -> None:
    page = client.get("/", {"q": "river", "category": "food"})
    for label, choices in page.context["facets"]:
        for choice in choices:
            assert client.get(choice.address).context["page"].paginator.count == choice.count, (label, choice)
    assert [label for label, _ in page.context["facets"]] == ["Format", "Language", "Price", "Availability"]
    assert "Under $10.00" in page.content.decode() and "In stock" in page.content.decode()
    assert client.get("/?price=cheap&stock=perhaps").context["search"] == SearchRequest()


def test_whatever_changes_a_book_it_is_counted_and_found_by_what_it_says_now() -> None:
    """Also a statement that goes past all of our code."""
    book = a_book(title="Salt", price_minor=900, shelf="food")
    other = Category.objects.create(slug="history", name="History")
    assert not BookDue.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shop_book SET title = 'Pepper', author = 'Inês Luz', price_minor = 2500, category_id = %s "
            "WHERE id = %s", [other.pk, book.pk],
        )  # fmt: skip
    assert facets.counts("salt", {}).by["price"] == {"20-30": 1}
    assert facets.counts("salt", {"category": "history"}).total == 1
    assert (search_index.put_due(), search_index.put_due()) == (1, 0)
    assert (facets.counts("salt", {}).total, facets.counts("pepper ines", {}).total) == (0, 1)
    book.refresh_from_db()
    assert (book.author_slug, book.title_key) == ("ines-luz", "pepper")
    Category.objects.filter(pk=other.pk).update(name="The Past")
    assert search_index.put_due() == 1
    assert (facets.counts("history", {}).total, facets.counts("the past", {}).total) == (0, 1)
    Book.objects.filter(pk=book.pk).update(is_listed=False)
    assert facets.counts("pepper", {}) == facets.counts("nothing", {})


def test_letters_with_accents_are_sorted_with_those_without() -> None:
    for title in ("Zebra", "Ähre", "apple", "Đường", "dune", "“Eel”", "Österreich", "日"):
        a_book(title=title)
    found = searching.books(SearchRequest.from_query({"sort": "title"}))
    assert [book.title for book in found] == ["Ähre", "apple", "dune", "Đường", "“Eel”", "Österreich", "日", "Zebra"]


def test_bands_have_names_for_people() -> None:
    assert [selection.band_name(name) for name in selection.BANDS] == [
        "Under $10.00", "$10.00 to $15.00", "$15.00 to $20.00", "$20.00 to $30.00", "$30.00 and more",
    ]  # fmt: skip
