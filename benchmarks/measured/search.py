"""A big catalogue searched: how long a page's questions to the database take, by kind, and what PostgreSQL says of it.

Nothing is kept between two of them: each counts anew, as the first visitor of a second finds it.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db import connection

from benchmarks import stats
from devtools import big_catalogue
from shop.books import pricing
from shop.books.search import matching, searching, selection
from shop.books.search.searching import SearchRequest
from shop.books.search.suggestions import suggestions
from shop.models import Book, Category

SEED = 1
SHELVES = 24
_EXPLAINED = 5
"""Of each kind, so many are asked once more, for what the server itself takes."""
Question = dict[str, str]
Kinds = Mapping[str, Callable[[random.Random, Book], Question]]
SEARCHES: Kinds = {
    "author": lambda chance, book: {"q": book.author},
    "title": lambda chance, book: {"q": book.title},
    "author and title": lambda chance, book: {"q": f"{book.author.split()[-1]} {book.title}"},
    "ISBN": lambda chance, book: {"q": book.isbn},
    "mistyped author": lambda chance, book: {"q": _mistyped(book.author)},
    "words of a description": lambda chance, book: {"q": " ".join(chance.sample(book.blurb.split(), 3))},
    "a word and filters": lambda chance, book: {
        "q": book.author.split()[-1], "format": book.format, "language": book.language, "stock": selection.IN_STOCK,
    },
    "a frequent word": lambda chance, book: {"q": chance.choice(("garden", "winter", "orchard", "quiet", "island"))},
    "the most frequent word": lambda chance, book: {"q": "river"},
}  # fmt: skip
LISTS: Kinds = {
    "front": lambda chance, book: {},
    "shelf": lambda chance, book: {"category": book.category.slug},
    "shelf by title": lambda chance, book: {"category": book.category.slug, "sort": "title"},
    "shelf, format, price": lambda chance, book: {
        "category": book.category.slug, "format": book.format, "price": chance.choice(selection.BANDS),
    },
    "in stock": lambda chance, book: {"stock": selection.IN_STOCK, "language": book.language},
    "by price": lambda chance, book: {"sort": "price"},
    "tenth page": lambda chance, book: {"page": "10", "sort": "title"},
    "author": lambda chance, book: {"author": book.author_slug},
    "series": lambda chance, book: {"series": book.series_slug} if book.series_slug else {"author": book.author_slug},
}  # fmt: skip
SUGGESTED = (2, 3, 5, 8)
"""Letters typed so far."""


def measure(*, titles: int, questions: int) -> dict[str, Any]:
    """Milliseconds of searches, lists and suggestions in a catalogue of so many titles: p95, and by kind."""
    grown = _grow(titles)
    chance = random.Random(7)  # noqa: S311 - to be repeatable
    books = _some_books(chance, questions)
    by_group = {
        "search": dict(_asked(SEARCHES, books, chance)),
        "list": dict(_asked(LISTS, books, chance)),
        "suggest": dict(_typed(books)),
    }
    details: dict[str, Any] = {"titles": titles, "seconds_to_grow": grown}
    for group, kinds in by_group.items():
        for kind, (seconds, explained) in kinds.items():
            details[f"{group}: {kind}"] = {
                "p50_ms": round(stats.percentile(seconds, 50) * 1000, 1),
                "p95_ms": round(stats.percentile(seconds, 95) * 1000, 1),
                "explain_ms": round(stats.percentile(explained, 50), 1),
            }
    runs = {
        f"{group}_p95_ms": [1000 * stats.percentile([each for took, _ in kinds.values() for each in took], 95)]
        for group, kinds in by_group.items()
    }
    return {"runs": runs, "details": details}


def _grow(titles: int) -> float:
    began = time.monotonic()
    for number in range(SHELVES):
        Category.objects.get_or_create(slug=f"shelf-{number}", defaults={"name": f"Shelf {number}", "position": number})
    for _ in big_catalogue.grow(titles, seed=SEED, is_stocked=True):
        pass
    # As autovacuum does after a while.
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) shop_book, shop_booksearch, shop_searchword, inventory_stock")
    matching.forget()
    return round(time.monotonic() - began, 1)


def _some_books(chance: random.Random, count: int) -> list[Book]:
    ids = chance.sample(list(Book.objects.filter(isbn__startswith="9796").values_list("pk", flat=True)), count)
    return list(Book.objects.filter(pk__in=ids).select_related("category").order_by("pk"))


def _mistyped(name: str) -> str:
    return f"{name[:-2]}{name[-1]}{name[-2]}"


def _asked(
    kinds: Kinds, books: list[Book], chance: random.Random
) -> Iterator[tuple[str, tuple[list[float], list[float]]]]:
    for kind, question in kinds.items():
        wanted = [SearchRequest.from_query(question(chance, book)) for book in books]
        yield kind, _timed([lambda each=each: searching.results(each).page.object_list for each in wanted])  # type: ignore[misc]


def _typed(books: list[Book]) -> Iterator[tuple[str, tuple[list[float], list[float]]]]:
    for letters in SUGGESTED:
        typed = [(book.author if number % 2 else book.title)[:letters] for number, book in enumerate(books)]
        yield f"{letters} letters", _timed([lambda each=each: suggestions(each) for each in typed])  # type: ignore[misc]


def _timed(questions: list[Callable[[], Any]]) -> tuple[list[float], list[float]]:
    """Seconds of each, and milliseconds that the server took for some."""
    took = []
    for ask in questions:
        pricing.forget()
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return took, [_explained(ask) for ask in questions[:_EXPLAINED]]


def _explained(ask: Callable[[], Any]) -> float:
    """Milliseconds in which PostgreSQL carries out what this asks, planning included, by EXPLAIN ANALYZE."""
    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        ask()
    spent = 0.0
    with connection.cursor() as cursor:
        for sql, parameters in asked:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", parameters)
            (found,) = cursor.fetchone()
            plan = (json.loads(found) if isinstance(found, str) else found)[0]
            spent += plan["Execution Time"] + plan["Planning Time"]
    return spent
