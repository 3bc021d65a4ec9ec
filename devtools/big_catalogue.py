"""A catalogue as big as a real bookshop's, made up from a seed: to see what the search does with it."""

import random
from collections.abc import Iterator
from itertools import islice

from django.db import transaction

from shop.books import isbn as isbns
from shop.books import search_index
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


def grow(titles: int, *, seed: int) -> Iterator[int]:
    """Add so many invented books, all for sale and none in stock; the same seed makes the same ones.

    Says after each batch how many there are. A title that is there already is left as it is.
    """
    shelves = list(Category.objects.order_by("pk"))
    if not shelves:
        raise ValueError("The shop has no shelves: run `manage.py seed_shop` first.")
    made, books = 0, _books(titles, random.Random(seed), shelves)  # noqa: S311 - to be repeatable, not secret
    while batch := list(islice(books, BATCH)):
        with transaction.atomic():
            Book.objects.bulk_create(batch, ignore_conflicts=True)
            rows = Book.objects.filter(isbn__in=[book.isbn for book in batch])
            search_index.put(rows.select_related("category"))
        made += len(batch)
        yield made


def _books(titles: int, chance: random.Random, shelves: list[Category]) -> Iterator[Book]:
    names = [_name(chance) for _ in range(max(50, titles // 8))]
    for number in range(titles):
        body = f"9796{number:08d}"
        book = Book(
            isbn=body + isbns.check_digit(body),
            title=_title(chance, names),
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
            blurb=" ".join(chance.choice((_title(chance, names), chance.choice(_THINGS))) for _ in range(14)) + ".",
        )
        book.fill_search_fields()
        yield book


def _title(chance: random.Random, names: list[str]) -> str:
    form, how, thing = chance.choice(_FORMS), chance.choice(_HOW), chance.choice(_THINGS)
    title = form.format(how=how, thing=thing, name=chance.choice(names))
    return title[0].upper() + title[1:]


def _name(chance: random.Random) -> str:
    return "".join(chance.choice(_SYLLABLES) for _ in range(chance.randint(2, 3))).capitalize()
