"""How many of the books found there are of each kind: of each shelf, format and language."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from django.db import connection

from shop.books.search import matching
from shop.site import ttl_cache


@dataclass(frozen=True, slots=True)
class Column:
    """Where a filter looks."""

    lookup: str
    """As Django writes it."""
    sql: str


FILTERS = {
    "category": Column("category__slug", "c.slug"),
    "format": Column("format", "b.format"),
    "language": Column("language", "b.language"),
    "author": Column("author_slug", "b.author_slug"),
    "series": Column("series_slug", "b.series_slug"),
}
COUNTED = ("category", "format", "language")
"""People are shown what there is of each; of authors and series there are too many."""
COUNTS_SECONDS = 5.0
"""So old may counts without words be, which are on every list."""
_KEPT_MAX = 300


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Books by kind: of a filter that is set, as if it were not, so that one sees what else there is."""

    total: int = 0
    """With all filters."""
    any: int = 0
    """Whatever the shelf, format and language."""
    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def counts(words: str, filters: Mapping[str, str]) -> Counts:
    """How many books for sale have these words and answer these filters."""
    if matching.says_nothing(words):
        return Counts(by={name: {} for name in COUNTED})
    if words:
        return _count(words, filters)
    key = tuple(sorted(filters.items()))
    with _lock:
        if (found := _kept.get(key)) is None:
            found = _kept[key] = ttl_cache.TtlCache(partial(_count, "", filters), max_age_seconds=COUNTS_SECONDS)
        _kept.move_to_end(key)
        if len(_kept) > _KEPT_MAX:
            _kept.popitem(last=False)
    return found.get()


def forget() -> None:
    """Drop what is kept, after a change of books."""
    with _lock:
        _kept.clear()


_kept: OrderedDict[tuple[tuple[str, str], ...], ttl_cache.TtlCache[Counts]] = OrderedDict()
_lock = Lock()


def _count(words: str, filters: Mapping[str, str]) -> Counts:
    sql, parameters = _statement(words, filters)
    by: dict[str, dict[str, int]] = {name: {} for name in (*COUNTED, "total", "any")}
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        for name, value, count in cursor.fetchall():
            by[name][value] = count
    return Counts(total=by.pop("total")[""], any=by.pop("any")[""], by=by)


def _statement(words: str, filters: Mapping[str, str]) -> tuple[str, list[str]]:
    match, conditions = matching.match(words), ["b.is_listed"]
    parameters = [filters[name] for name in COUNTED if name in filters]
    if match:
        conditions.append(f"s.vector @@ ({match.sql})")
        parameters += match.parameters
    for name in filters.keys() - set(COUNTED):
        conditions.append(f"{FILTERS[name].sql} = %s")
        parameters.append(filters[name])
    columns = [f"{FILTERS[name].sql} AS of_{name}" for name in COUNTED]
    columns += [f"{FILTERS[name].sql} = %s AS in_{name}" for name in COUNTED if name in filters]
    columns += [f"true AS in_{name}" for name in COUNTED if name not in filters]
    each = [
        f"SELECT '{name}', of_{name}, count(*) FROM found WHERE {_all_but(name)} GROUP BY of_{name}"  # noqa: S608
        for name in COUNTED
    ]
    sql = f"""
WITH found AS MATERIALIZED (
    SELECT {", ".join(columns)} FROM shop_book b JOIN shop_category c ON c.id = b.category_id
    {"JOIN shop_booksearch s ON s.book_id = b.id" if match else ""} WHERE {" AND ".join(conditions)}
)
{" UNION ALL ".join(each)}
UNION ALL SELECT 'total', '', count(*) FROM found WHERE {_all_but("")}
UNION ALL SELECT 'any', '', count(*) FROM found
"""  # noqa: S608 - names of ours; what people typed is in the parameters
    return sql, parameters


def _all_but(name: str) -> str:
    return " AND ".join(f"in_{other}" for other in COUNTED if other != name)
