"""How many of the books found there are of each kind: of each shelf, format, language and price, and in stock.

# Note [Kinds of books]
Books with certain words are looked at, once, whatever is filtered. All books are not: for each statement that writes
books, a trigger adds rows to `shop_bookkind` that say of which kind there are how many more or fewer, and the sum is
true for whoever sees what was committed. Nobody waits for a counter that way; the timekeeper makes one row of many
(`compact`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection

from shop.books.search import matching, selection

COUNTED = ("category", "format", "language", "price", "stock")
"""People are shown what there is of each; of authors and series there are too many."""
FILTERS = (*COUNTED, "author", "series")
Kinds = Sequence[tuple[tuple[str, ...], int]]
"""Of each combination of `COUNTED` that there is, how many books."""
_OF_ALL = "SELECT category_id, format, language, band, is_in_stock, books FROM shop_bookkind"
_OF_SOME = """
SELECT s.category_id, s.format, s.language, {usual_band}, s.is_in_stock, count(*) FROM {source} WHERE {condition}
GROUP BY 1, 2, 3, 4, 5
"""
# What is different right now counts as what it is now, and no more as what its row says.
_CHANGES = """
UNION ALL SELECT s.category_id, s.format, s.language, {band}, {is_in_stock}, 1 FROM {differing} WHERE {condition}
UNION ALL SELECT s.category_id, s.format, s.language, {usual_band}, s.is_in_stock, -1 FROM {differing} WHERE {condition}
"""
_SUMS = """
SELECT category_id, format, language, band, is_in_stock, sum(books)::int FROM (
{parts}) AS kinds (category_id, format, language, band, is_in_stock, books)
GROUP BY 1, 2, 3, 4, 5 HAVING sum(books) <> 0
"""
_COMPACT = """
WITH gone AS (DELETE FROM shop_bookkind RETURNING *)
INSERT INTO shop_bookkind (category_id, format, language, band, is_in_stock, books)
SELECT category_id, format, language, band, is_in_stock, sum(books) FROM gone
GROUP BY 1, 2, 3, 4, 5 HAVING sum(books) <> 0
"""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Books by kind: of a filter that is set, as if it were not, so that one sees what else there is."""

    total: int = 0
    """With all filters."""
    any: int = 0
    """Whatever the kind."""
    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def counts(words: str, filters: Mapping[str, str]) -> Counts:
    """How many books for sale have these words and answer these filters."""
    if matching.says_nothing(words):
        return _add_up([], filters)
    return _add_up(_kinds(words, {name: value for name, value in filters.items() if name not in COUNTED}), filters)


def compact() -> None:
    """Make one row of those of one kind, if they have become many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) > 100 + 2 * count(DISTINCT (category_id, format, language, band, is_in_stock))"
            " FROM shop_bookkind"
        )
        if cursor.fetchone()[0]:
            cursor.execute(_COMPACT)


def _kinds(words: str, whose: Mapping[str, str]) -> Kinds:
    chosen = selection.select(words, whose)
    parts = (_OF_SOME if words or whose else _OF_ALL) + (_CHANGES if chosen.differing else "")
    sql = _SUMS.format(parts=parts).format(**vars(chosen))
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, slug FROM shop_category")
        shelves: dict[int, str] = dict(cursor.fetchall())
        cursor.execute(sql, chosen.parameters)
        return [
            ((shelves.get(shelf, ""), form, language, selection.BANDS[band], selection.IN_STOCK if free else ""), count)
            for shelf, form, language, band, free, count in cursor.fetchall()
        ]


def _add_up(kinds: Kinds, filters: Mapping[str, str]) -> Counts:
    wanted = [(place, filters[name]) for place, name in enumerate(COUNTED) if name in filters]
    by: list[dict[str, int]] = [{} for _ in COUNTED]
    total = together = 0
    for values, count in kinds:
        together += count
        others = [place for place, value in wanted if values[place] != value]
        if not others:
            total += count
        if len(others) <= 1:
            for place in others or range(len(COUNTED)):
                by[place][values[place]] = by[place].get(values[place], 0) + count
    by[COUNTED.index("stock")].pop("", None)
    return Counts(total=total, any=together, by=dict(zip(COUNTED, by, strict=True)))
