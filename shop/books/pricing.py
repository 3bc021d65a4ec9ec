"""Prices and availability of books, as the shop knows them; what a browser sends is never used."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from inventory import queries as inventory_queries
from inventory.models import pool_name
from shop import models
from shop.books import isbn as isbns
from shop.flashsales import flash_sales
from shop.site import shared_pages, ttl_cache


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A book as it is sold right now; money in minor units of `settings.CURRENCY`."""

    sku: str
    title: str
    author: str
    price_minor: int
    """The price of the running sale, or the usual one."""
    url: str
    cover_url: str
    sale: flash_sales.SaleTerms | None = None
    """The sale that is running, or the next one."""
    sale_id: int | None = None
    """The sale that is running; None before it starts."""
    weight_grams: int = models.WEIGHT_GRAMS

    @property
    def pool(self) -> str:
        """The stock pool from which the book is sold right now."""
        return pool_name(self.sku, self.sale_id)

    def phase(self, now: datetime) -> flash_sales.Phase | None:
        """The phase of its sale as the price has it: a sale has begun for a page once the page shows its price."""
        if self.sale is None:
            return None
        if self.sale_id is not None:
            return flash_sales.Phase.RUNNING
        phase = self.sale.phase(now)
        return flash_sales.Phase.UPCOMING if phase is flash_sales.Phase.RUNNING else phase

    @property
    def has_waiting_room(self) -> bool:
        """Whether an order of it may need a place in the waiting room of the sale that is running."""
        return self.sale is not None and self.sale_id is not None and self.sale.has_waiting_room

    @property
    def customer_limit(self) -> int | None:
        """Copies that one customer may have right now; None for no limit."""
        return self.sale.customer_limit if self.sale is not None and self.sale_id is not None else None


Offers = Mapping[str, Offer]
Units = Mapping[str, int]


_COLUMNS = ("isbn", "title", "author", "price_minor", "weight_grams")


def _load_usual(skus: Collection[str]) -> Offers:
    books = models.Book.objects.filter(is_listed=True, isbn__in=skus)
    return {
        isbn: Offer(
            sku=isbn,
            title=title,
            author=author,
            price_minor=price_minor,
            url=models.page_url(isbn=isbn, title=title),
            cover_url=models.cover_url(isbn=isbn, title=title, author=author),
            weight_grams=weight_grams,
        )
        for isbn, title, author, price_minor, weight_grams in books.values_list(*_COLUMNS).order_by()
    }


def _newest() -> Collection[str]:
    listed = models.Book.objects.filter(is_listed=True).order_by("-year", "-id")
    return listed.values_list("isbn", flat=True)[:_HELD_AT_FIRST]


_KEYS_MAX = 20_000
_HELD_AT_FIRST = 2_000
_usual: ttl_cache.TtlRows[Offer] = ttl_cache.TtlRows(
    _load_usual, max_age_seconds=0.5, keys_max=_KEYS_MAX, at_first=_newest
)
# Fresher than prices, because in a rush availability changes much faster.
_left: ttl_cache.TtlRows[int] = ttl_cache.TtlRows(
    inventory_queries.available_by_pool, max_age_seconds=0.25, keys_max=_KEYS_MAX
)


def offers(skus: Collection[str]) -> dict[str, Offer]:
    """Those of these books that are for sale, by sku, at most half a second old; whether a sale runs is decided now."""
    # A browser may send anything; what cannot be a book is not asked for, nor remembered.
    possible = [sku for sku in skus if isbns.looks_right(sku)]
    return _with_sales(_usual.get(possible), flash_sales.calendar())


def offer(sku: str) -> Offer | None:
    """The same of one book; None if it is not for sale."""
    return offers([sku]).get(sku)


def free(known: Offers) -> Units:
    """Available units by sku, at most a quarter of a second old; a book that never had stock is missing.

    While a sale is running these are the units set aside for it. For display only: inventory alone decides whether an
    order gets its books.
    """
    left = _left.get([offer.pool for offer in known.values()])
    return {sku: left[offer.pool] for sku, offer in known.items() if offer.pool in left}


def left_now(offer: Offer) -> int | None:
    """Available units of one book, not cached; None if it never had stock."""
    return inventory_queries.available_by_pool([offer.pool]).get(offer.pool)


def last_known(skus: Collection[str]) -> Offers:
    """What this process knows of them, of any age: for showing a page without the database, not for selling."""
    return _with_sales(_usual.last_known(skus), flash_sales.last_known())


def forget() -> None:
    """Drop this process's cached prices and availability, and the pages that show them."""
    flash_sales.forget()
    _usual.forget()
    _left.forget()
    shared_pages.forget()


def _with_sales(usual: Offers, calendar: flash_sales.Calendar) -> dict[str, Offer]:
    return {
        sku: _in_sale(offer, calendar.by_sku[sku], calendar.at) if sku in calendar.by_sku else offer
        for sku, offer in usual.items()
    }


def _in_sale(offer: Offer, terms: flash_sales.SaleTerms, at: datetime) -> Offer:
    if terms.phase(at) is not flash_sales.Phase.RUNNING:
        return replace(offer, sale=terms)
    return replace(offer, sale=terms, sale_id=terms.sale_id, price_minor=terms.price_minor)
