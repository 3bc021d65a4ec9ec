"""What books cost and how many are left: the shop's own word, never the browser's."""

from collections.abc import Mapping
from dataclasses import dataclass

from inventory import queries as inventory_queries
from shop import models, snapshots


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A book as it is sold right now; money in minor units of `settings.CURRENCY`."""

    sku: str
    title: str
    author: str
    price_minor: int
    url: str
    cover_url: str


def _load_offers() -> Mapping[str, Offer]:
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


def _load_free() -> Mapping[str, int]:
    return inventory_queries.free_by_sku(_offers.get())


_offers: snapshots.Snapshot[Mapping[str, Offer]] = snapshots.Snapshot(_load_offers, max_age_seconds=1.0)
# Younger than prices: what is left is what a rush is about.
_free: snapshots.Snapshot[Mapping[str, int]] = snapshots.Snapshot(_load_free, max_age_seconds=0.25)


def offers() -> Mapping[str, Offer]:
    """All books for sale by sku, at most one second old."""
    return _offers.get()


def free() -> Mapping[str, int]:
    """Units free to order by sku, at most a quarter of a second old; a book inventory never saw is absent.

    It is for telling people early. Whether an order gets its books is decided by inventory alone.
    """
    return _free.get()


def last_known() -> tuple[Mapping[str, Offer], Mapping[str, int]]:
    """Offers and free units however old they are: for showing a page while the database is away, not for selling."""
    return _offers.last_known(), _free.last_known()


def forget() -> None:
    """Read prices and stock anew on the next call of this process."""
    _offers.forget()
    _free.forget()
