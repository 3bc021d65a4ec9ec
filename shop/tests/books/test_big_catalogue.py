"""S4: the search of a big catalogue: what is found, and how long it takes."""

import random
import time
from collections.abc import Callable, Iterator
from statistics import quantiles
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from devtools import big_catalogue
from devtools.testing.shop.storefront import a_book
from shop.books.search import facets, matching, searching
from shop.books.search.folding import fold
from shop.books.search.searching import SearchRequest
from shop.books.search.suggestions import suggestions
from shop.models import Book, Category, SearchWord

pytestmark = [pytest.mark.django_db, pytest.mark.shop]


def typed(titles: int) -> list[str]:
    """What buyers type: a word or two of some book, half a word, a name, a mistake, an ISBN."""
    chance = random.Random(7)  # noqa: S311 - to be repeatable
    found = []
    for book in Book.objects.filter(pk__in=chance.sample(list(Book.objects.values_list("pk", flat=True)), titles)):
        first, *_, last = book.author.split()
        found += [f"{first} {last}", last, book.title, book.isbn, f"{last[:-1]}x", f"{first[:4]} {book.title[:12]}"]
    return found


def grow(titles: int) -> None:
    for number in range(8):
        Category.objects.create(slug=f"s{number}", name=f"Shelf {number}", position=number)
    for _ in big_catalogue.grow(titles, seed=1, is_stocked=True):
        pass
    matching.forget()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE shop_book, shop_booksearch, shop_searchword, inventory_stock")


def test_the_same_seed_makes_the_same_books_and_all_are_found() -> None:
    grow(300)
    before = list(Book.objects.order_by("isbn").values_list("isbn", "title", "author"))
    call_command("grow_catalogue", titles=300, seed=1, json=True)
    assert list(Book.objects.order_by("isbn").values_list("isbn", "title", "author")) == before
    for book in Book.objects.all()[:20]:
        found = searching.results(SearchRequest.from_query({"q": f"{book.author} {book.title}"}))
        assert book.pk in {one.pk for one in found.page}
        assert searching.results(SearchRequest.from_query({"q": book.isbn})).page[0] == book
    assert SearchWord.objects.count() > 100
    with pytest.raises(CommandError, match="10,000,000"):
        call_command("grow_catalogue", titles=0)


def statements(ask: Callable[[], Any]) -> list[tuple[str, Any]]:
    """What this asks PostgreSQL."""
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        ask()
    return asked


def read_in_full(ask: Callable[[], Any]) -> set[str]:
    """The tables that PostgreSQL reads from their beginning to their end for it."""
    found = set()
    with connection.cursor() as cursor:
        for sql, parameters in statements(ask):
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
            found |= {
                node["Relation Name"] for node in nodes(cursor.fetchone()[0][0]["Plan"]) if "Seq" in node["Node Type"]
            }
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def test_no_list_and_no_suggestion_reads_all_books() -> None:
    """Counts without words do, in an index, once a second; of all others the work is that of what they find."""
    grow(3_000)
    book = Book.objects.exclude(series_slug="").select_related("category").order_by("pk")[0]
    big = {"shop_book", "shop_booksearch", "inventory_stock"}
    for wish in (
        {}, {"sort": "title"}, {"sort": "price"}, {"sort": "-price"}, {"page": "3"}, {"stock": "now"},
        {"author": book.author_slug}, {"series": book.series_slug}, {"q": book.isbn}, {"q": book.author},
        {"q": f"{book.author} {book.title}", "stock": "now", "sort": "title"},
    ):  # fmt: skip
        wanted = SearchRequest.from_query(wish)
        assert not read_in_full(lambda: searching.books(wanted)) & big, wish  # noqa: B023 - called at once
    for wish in ({"author": book.author_slug}, {"series": book.series_slug}, {"q": book.isbn}, {"q": book.author}):
        wanted = SearchRequest.from_query(wish)
        assert not read_in_full(lambda: facets._kinds(wanted.words, wanted.filters)) & big, wish  # noqa: B023
    for letters in (2, 5, 9):
        assert not read_in_full(lambda: suggestions(book.author[:letters])) & big, letters  # noqa: B023


def test_suggestions_begin_with_what_was_typed_however_many_books_have_it() -> None:
    grow(300)
    start = fold(Book.objects.order_by("pk")[0].author)[:2]
    a_book(title=start, author="Zed")
    found = suggestions(start)
    begin = [fold(one.text).startswith(start) for one in found]
    assert begin == sorted(begin, reverse=True)
    assert start in [one.text for one in found] and "Author" in [one.kind for one in found]


@pytest.mark.prove(long=True)
def test_200_000_titles_are_searched_at_once() -> None:
    """The median and p95 are printed; what is held is ten times the aim, for the machine may be busy."""
    grow(200_000)
    took: dict[str, list[float]] = {"search": [], "suggest": []}
    for words in typed(60):
        began = time.perf_counter()
        list(searching.results(SearchRequest.from_query({"q": words})).page)
        between = time.perf_counter()
        suggestions(words[:6])
        took["search"].append(between - began)
        took["suggest"].append(time.perf_counter() - between)
    for name, seconds in took.items():
        cuts = quantiles(seconds, n=20)
        print(f"{name}: p50 {cuts[9] * 1000:.1f} ms, p95 {cuts[18] * 1000:.1f} ms of {len(seconds)}")
        assert cuts[18] < 0.5
