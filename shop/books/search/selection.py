"""Which books for sale are asked for: the SQL that lists and counts have in common.

# Note [Two tables for one question]
Where words are asked for, `shop_booksearch` is read, which has both the words and what filters and orders ask for;
where none are, `shop_book` itself. Either is called `s`. Prices and copies are those of this moment: see
Note [In stock].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

import money
from shop.books.search import in_stock, matching

IN_STOCK = "now"
_BOUNDS = (1000, 1500, 2000, 3000)
"""Of the price bands, in minor units of a currency with hundredths."""
BANDS = ("-10", "10-15", "15-20", "20-30", "30-")
"""As addresses have them, in the order of the bounds between them."""
_NO_PRICE = 2**31 - 1
_OF_WORDS = "shop_booksearch s"
_NOW = """
JOIN unnest(%(now_isbns)s::text[], %(now_prices)s::int[], %(now_free)s::boolean[]) AS now (isbn, price, is_free)
    ON now.isbn = s.isbn
"""
_BAND = "width_bucket({}, %(bounds)s::int[])"
_EQUALS = {
    "category": "s.category_id = (SELECT id FROM shop_category WHERE slug = %(category)s)",
    "format": "s.format = %(format)s",
    "language": "s.language = %(language)s",
    "author": "{book}.author_slug = %(author)s",
    "series": "{book}.series_slug = %(series)s",
}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """SQL for some books. `book` is the alias of the table that has all of a book, if `with_book` was asked for."""

    source: str
    """As the rows say."""
    source_now: str
    """With what differs from that right now; see Note [In stock]."""
    differing: str
    """Of those books alone that differ; empty if none does."""
    condition: str
    parameters: Mapping[str, Any]
    id: str
    book: str
    price: str
    is_in_stock: str
    band: str
    """Which of `BANDS`, counted from 0."""
    usual_band: str
    """The same as the rows say."""
    words: matching.Match


def select(words: str, filters: Mapping[str, str], *, with_book: bool = False) -> Selection:
    """Books for sale with all of these words that answer all of these filters."""
    match = matching.match(words)
    with_book = with_book or bool(filters.keys() & {"author", "series"})
    now = in_stock.overrides()
    book = "b" if match else "s"
    source = _OF_WORDS if match else "shop_book s"
    source += " JOIN shop_book b ON b.id = s.book_id" if match and with_book else ""
    price, is_free, source_now, differing = "s.price_minor", "s.is_in_stock", source, ""
    if now["now_isbns"]:
        source_now, differing = f"{source} LEFT {_NOW}", f"{source} {_NOW}"
        price, is_free = f"coalesce(now.price, {price})", f"coalesce(now.is_free, {is_free})"
    conditions = ["s.is_listed"] + ([f"s.vector @@ ({match.sql})"] if match else [])
    conditions += [_EQUALS[name].format(book=book) for name in filters if name in _EQUALS]
    conditions += [is_free] if "stock" in filters else []
    conditions += [f"{price} >= %(price_from)s", f"{price} < %(price_below)s"] if "price" in filters else []
    return Selection(
        source=source,
        source_now=source_now,
        differing=differing,
        condition=" AND ".join(conditions),
        parameters={**match.parameters, **now, **_values(filters)},
        id="s.book_id" if match else "s.id",
        book=book,
        price=price,
        is_in_stock=is_free,
        band=_BAND.format(price),
        usual_band="s.band" if match else _BAND.format("s.price_minor"),
        words=match,
    )


def band_name(band: str) -> str:
    """A band as buyers read it."""
    low, high = ("" if not end else money.format_amount(int(end) * 100, settings.CURRENCY) for end in band.split("-"))
    return f"{low} to {high}" if low and high else f"Under {high}" if high else f"{low} and more"


def _values(filters: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: value for name, value in filters.items() if name in _EQUALS}
    if "price" in filters:
        band = BANDS.index(filters["price"])
        values |= {"price_from": (0, *_BOUNDS)[band], "price_below": (*_BOUNDS, _NO_PRICE)[band]}
    return values | {"bounds": list(_BOUNDS)}
