"""What books cost and how many are left: the shop's own word, never the browser's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from inventory import queries as inventory_queries
from inventory.models import pool_name
from shop import models, ttl_cache
from shop.flashsales import flash_sales


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A book as it is sold right now; money in minor units of `settings.CURRENCY`."""

    sku: str
    title: str
    author: str
    price_minor: int
    """The sale's while one is running, else the usual one."""
    url: str
    cover_url: str
    sale: flash_sales.Terms | None = None
    """The sale that is running, or the next one."""
    sale_id: int | None = None
    """The sale that is running; None before it starts."""

    @property
    def bin(self) -> str:
        """Where the units lie that are sold right now."""
        return pool_name(self.sku, self.sale_id)

    @property
    def customer_limit(self) -> int | None:
        """So many copies may one customer have right now; None for any number."""
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
    """By bin, those of sales to come included: when one starts, its units must be known already."""
    sales = flash_sales.calendar().by_sku
    return inventory_queries.available_by_pool(
        [*_usual.get(), *(pool_name(sku, terms.sale_id) for sku, terms in sales.items())]
    )


_usual: ttl_cache.TtlCache[Offers] = ttl_cache.TtlCache(_load_usual, max_age_seconds=1.0)
# Younger than prices: what is left is what a rush is about.
_left: ttl_cache.TtlCache[Units] = ttl_cache.TtlCache(_load_left, max_age_seconds=0.25)
# What was made of which snapshots, so that a click does not make it again. Threads replace each as a whole.
_known_offers: tuple[Offers, flash_sales.Calendar, Offers] | None = None
_known_free: tuple[Offers, Units, Units] | None = None


def offers() -> Offers:
    """All books for sale by sku, at most one second old; whether a sale is running is decided at this moment."""
    return _offers_of(_usual.get(), flash_sales.calendar())


def free() -> Units:
    """Units free to order by sku, at most a quarter of a second old; a book inventory never saw is absent.

    While a sale is running they are the units that were set aside for it. It is for telling people early: whether an
    order gets its books is decided by inventory alone.
    """
    return _free_of(offers(), _left.get())


def left_now(offer: Offer) -> int | None:
    """The same of one book, asked this very moment; None if inventory never saw it."""
    return inventory_queries.available_by_pool([offer.bin]).get(offer.bin)


def last_known() -> tuple[Offers, Units]:
    """Offers and free units however old they are: for showing a page while the database is away, not for selling."""
    all_offers = _offers_of(_usual.last_known(), flash_sales.last_known())
    return all_offers, _free_of(all_offers, _left.last_known())


def forget() -> None:
    """Read prices and stock anew on the next call of this process."""
    flash_sales.forget()
    _usual.forget()
    _left.forget()


def _offers_of(usual: Offers, calendar: flash_sales.Calendar) -> Offers:
    global _known_offers
    known = _known_offers
    if known is None or known[0] is not usual or known[1] is not calendar:
        special = {
            sku: _in_sale(usual[sku], terms, calendar.at) for sku, terms in calendar.by_sku.items() if sku in usual
        }
        _known_offers = known = (usual, calendar, {**usual, **special})
    return known[2]


def _in_sale(offer: Offer, terms: flash_sales.Terms, at: datetime) -> Offer:
    if terms.phase(at) is not flash_sales.Phase.RUNNING:
        return replace(offer, sale=terms)
    return replace(offer, sale=terms, sale_id=terms.sale_id, price_minor=terms.price_minor)


def _free_of(all_offers: Offers, left: Units) -> Units:
    global _known_free
    known = _known_free
    if known is None or known[0] is not all_offers or known[1] is not left:
        by_sku = {sku: left[offer.bin] for sku, offer in all_offers.items() if offer.bin in left}
        _known_free = known = (all_offers, left, by_sku)
    return known[2]
