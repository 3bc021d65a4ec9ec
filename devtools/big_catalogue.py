"""A catalogue as big as a real bookshop's, made up from a seed: to see what the search does with it."""

import random
from collections.abc import Iterator
from itertools import islice

from django.db import transaction

from inventory import queries as inventory_queries
from inventory import stock_adjustments
from shop.books import isbn as isbns
from shop.books.search import in_stock
from shop.books.search import index as search_index
from shop.models import Book, Category, Format

BATCH = 2_000
_SYLLABLES = [
    "an",
    "ar",
    "bel",
    "ber",
    "bra",
    "cal",
    "car",
    "cor",
    "dan",
    "del",
    "den",
    "dor",
    "el",
    "en",
    "er",
    "fal",
    "fin",
    "gal",
    "gar",
    "hal",
    "har",
    "hel",
    "il",
    "in",
    "jor",
    "kal",
    "kel",
    "kor",
    "lan",
    "lar",
    "lin",
    "lor",
    "mal",
    "mar",
    "mel",
    "mer",
    "mor",
    "nal",
    "nor",
    "ol",
    "or",
    "pel",
    "per",
    "quin",
    "ral",
    "ran",
    "rin",
    "ros",
    "sal",
    "sel",
    "sol",
    "tal",
    "tam",
    "ter",
    "tor",
    "ul",
    "ur",
    "val",
    "ver",
    "vin",
    "wal",
    "wen",
    "wil",
    "yar",
    "yel",
    "zan",
    "zor",
]
_THINGS = [
    "river",
    "garden",
    "winter",
    "orchard",
    "harbour",
    "letter",
    "mountain",
    "window",
    "bread",
    "ledger",
    "island",
    "kitchen",
    "shadow",
    "forest",
    "lantern",
    "bridge",
    "story",
    "weather",
    "animal",
    "history",
    "machine",
    "pattern",
    "language",
    "mother",
    "brother",
    "stranger",
    "captain",
    "doctor",
    "teacher",
    "painter",
]
_HOW = [
    "quiet",
    "last",
    "first",
    "hidden",
    "little",
    "long",
    "broken",
    "secret",
    "patient",
    "early",
    "ordinary",
    "distant",
    "bright",
    "invisible",
]
_FORMS = ("The {how} {thing}", "{thing} of {name}", "A {how} {thing}", "{name} and the {thing}", "{how} {thing}s")
_LANGUAGES = ("en",) * 7 + ("vi", "fr", "de")


def grow(titles: int, *, seed: int, is_stocked: bool = False) -> Iterator[int]:
    """Add so many invented books, for sale, none in stock or seven of ten; the same seed makes the same ones.

    Says after each batch how many there are. A title that is there already is left as it is.
    """
    shelves = list(Category.objects.order_by("pk"))
    if not shelves:
        raise ValueError("The shop has no shelves: run `manage.py seed_shop` first.")
    made, books = 0, _books(titles, random.Random(seed), shelves)  # noqa: S311 - to be repeatable, not secret
    while batch := list(islice(books, BATCH)):
        with transaction.atomic():
            if is_stocked:
                _stock([book.isbn for book in batch])
            Book.objects.bulk_create(batch, ignore_conflicts=True)
            rows = Book.objects.filter(isbn__in=[book.isbn for book in batch])
            search_index.put(rows.select_related("category"))
        while is_stocked and in_stock.follow():
            pass
        made += len(batch)
        yield made


def _stock(isbns_made: list[str]) -> None:
    """Copies of seven books in ten, where there were none yet."""
    wanted = {isbn for isbn in isbns_made if int(isbn[-2]) < 7}
    wanted -= inventory_queries.free_by_pool(wanted).keys()
    stock_adjustments.receive(quantities=dict.fromkeys(sorted(wanted), 5), reason="big catalogue")


def _books(titles: int, chance: random.Random, shelves: list[Category]) -> Iterator[Book]:
    names = [_name(chance) for _ in range(max(50, titles // 8))]
    writer = _Writer(chance, names)
    for number in range(titles):
        body = f"9796{number:08d}"
        book = Book(
            isbn=body + isbns.check_digit(body),
            title=writer.title(),
            author=f"{chance.choice(names)} {chance.choice(names)}",
            category=chance.choice(shelves),
            series=f"The {chance.choice(names)} Chronicles" if chance.random() < 0.15 else "",
            series_number=chance.randint(1, 9),
            publisher=f"{chance.choice(names[:200])} Press",
            price_minor=chance.randint(500, 6000),
            year=chance.randint(1950, 2026),
            pages=chance.randint(40, 900),
            format=chance.choice(Format.values),
            language=chance.choice(_LANGUAGES),
            blurb=" ".join(chance.choice((writer.title, writer.thing))() for _ in range(14)) + ".",
        )
        book.fill_search_fields()
        yield book


class _Writer:
    """Words as books have them: a few often, most of them seldom (Zipf's law)."""

    def __init__(self, chance: random.Random, names: list[str]) -> None:
        self._chance, self._names = chance, names
        self._things, self._hows = (
            words + [_name(chance).lower() for _ in range(more)] for words, more in ((_THINGS, 4_000), (_HOW, 500))
        )

    def thing(self) -> str:
        return self._one_of(self._things)

    def title(self) -> str:
        form = self._chance.choice(_FORMS)
        title = form.format(how=self._one_of(self._hows), thing=self.thing(), name=self._chance.choice(self._names))
        return title[0].upper() + title[1:]

    def _one_of(self, words: list[str]) -> str:
        return words[min(int(20 * self._chance.paretovariate(1)) - 20, len(words) - 1)]


def _name(chance: random.Random) -> str:
    return "".join(chance.choice(_SYLLABLES) for _ in range(chance.randint(2, 3))).capitalize()
