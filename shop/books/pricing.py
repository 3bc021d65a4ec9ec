"""Prices and availability of books, as the shop knows them; what a browser sends is never used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from inventory import queries as inventory_queries
from inventory.models import pool_name
from shop import models
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
    def customer_limit(self) -> int | None:
        """Copies that one customer may have right now; None for no limit."""
        return self.sale.customer_limit if self.sale is not None and self.sale_id is not None else None


Offers = Mapping[str, Offer]
Units = Mapping[str, int]


def _load_usual() -> Offers:
    rows = models.Book.objects.filter(is_listed=True).values_list("isbn", "title", "author", "price_minor")
    return {
        isbn: Offer(
            sku=isbn,
            title=title,
            author=author,
            price_minor=price_minor,
            url=models.page_url(isbn=isbn, title=title),
            cover_url=models.cover_url(isbn=isbn, title=title, author=author),
        )
        for isbn, title, author, price_minor in rows.order_by()
    }


def _load_left() -> Units:
    """By pool, including pools of upcoming sales: when a sale starts, its units must be known already."""
    sales = flash_sales.calendar().by_sku
    return inventory_queries.available_by_pool(
        [*_usual.get(), *(pool_name(sku, terms.sale_id) for sku, terms in sales.items())]
    )


_usual: ttl_cache.TtlCache[Offers] = ttl_cache.TtlCache(_load_usual, max_age_seconds=0.5)
# Fresher than prices, because in a rush availability changes much faster.
_left: ttl_cache.TtlCache[Units] = ttl_cache.TtlCache(_load_left, max_age_seconds=0.25)
# What was derived from which cached values, so that it is not derived for every click. Threads replace each as a whole.
_known_offers: tuple[Offers, flash_sales.Calendar, Offers] | None = None
_known_free: tuple[Offers, Units, Units] | None = None


def offers() -> Offers:
    """All books for sale, by sku, at most half a second old; whether a sale is running is decided now."""
    return _offers_of(_usual.get(), flash_sales.calendar())


def free() -> Units:
    """Available units by sku, at most a quarter of a second old; a book that never had stock is missing.

    While a sale is running these are the units set aside for it. For display only: inventory alone decides whether an
    order gets its books.
    """
    return _free_of(offers(), _left.get())


def left_now(offer: Offer) -> int | None:
    """Available units of one book, not cached; None if it never had stock."""
    return inventory_queries.available_by_pool([offer.pool]).get(offer.pool)


def last_known() -> tuple[Offers, Units]:
    """Cached offers and available units of any age: for showing a page without the database, not for selling."""
    all_offers = _offers_of(_usual.last_known(), flash_sales.last_known())
    return all_offers, _free_of(all_offers, _left.last_known())


def forget() -> None:
    """Drop this process's cached prices and availability, and the pages that show them."""
    flash_sales.forget()
    _usual.forget()
    _left.forget()
    shared_pages.forget()


def _offers_of(usual: Offers, calendar: flash_sales.Calendar) -> Offers:
    global _known_offers
    known = _known_offers
    if known is None or known[0] is not usual or known[1] is not calendar:
        special = {
            sku: _in_sale(usual[sku], terms, calendar.at) for sku, terms in calendar.by_sku.items() if sku in usual
        }
        _known_offers = known = (usual, calendar, {**usual, **special})
    return known[2]


def _in_sale(offer: Offer, terms: flash_sales.SaleTerms, at: datetime) -> Offer:
    if terms.phase(at) is not flash_sales.Phase.RUNNING:
        return replace(offer, sale=terms)
    return replace(offer, sale=terms, sale_id=terms.sale_id, price_minor=terms.price_minor)


def _free_of(all_offers: Offers, left: Units) -> Units:
    global _known_free
    known = _known_free
    if known is None or known[0] is not all_offers or known[1] is not left:
        by_sku = {sku: left[offer.pool] for sku, offer in all_offers.items() if offer.pool in left}
        _known_free = known = (all_offers, left, by_sku)
    return known[2]
