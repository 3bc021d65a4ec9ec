"""How many of the books found there are of each kind: of each shelf, format, language and price, and in stock."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from django.db import connection

from shop.books.search import matching, selection
from shop.site import ttl_cache

COUNTED = ("category", "format", "language", "price", "stock")
"""People are shown what there is of each; of authors and series there are too many."""
FILTERS = (*COUNTED, "author", "series")
COUNTS_SECONDS = 1.0
"""So old may counts without words be, which are on every list."""
_KEPT_MAX = 300
Kinds = Sequence[tuple[tuple[str, ...], int]]
"""Of each combination of `COUNTED` that there is, how many books."""


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
    whose = {name: value for name, value in filters.items() if name not in COUNTED}
    if words:
        return _add_up(_kinds(words, whose), filters)
    key = tuple(sorted(whose.items()))
    with _lock:
        if (found := _kept.get(key)) is None:
            found = _kept[key] = ttl_cache.TtlCache(partial(_kinds, "", whose), max_age_seconds=COUNTS_SECONDS)
        _kept.move_to_end(key)
        if len(_kept) > _KEPT_MAX:
            _kept.popitem(last=False)
    return _add_up(found.get(), filters)


def forget() -> None:
    """Drop what is kept, after a change of books."""
    with _lock:
        _kept.clear()


_kept: OrderedDict[tuple[tuple[str, str], ...], ttl_cache.TtlCache[Kinds]] = OrderedDict()
_lock = Lock()


def _kinds(words: str, whose: Mapping[str, str]) -> Kinds:
    """All kinds at once: whatever is filtered then, no book is looked at twice."""
    chosen = selection.select(words, whose)
    sql = f"""
SELECT s.category_id, s.format, s.language, {chosen.band}, {chosen.is_in_stock}, count(*)
FROM {chosen.source} WHERE {chosen.condition} GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - SQL of ours; what people typed is in the parameters
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
