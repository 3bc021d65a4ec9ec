"""Flash sales: which books are sold at which price, from when to when, and the units that are set aside for them.

From its start to its end a book is sold at the sale's price out of the sale's bin and from nothing else; before and
after, at its usual price out of its ordinary bin. What is free when the sale is over, the timekeeper puts back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from inventory import stock_adjustments
from shop import models, ttl_cache

# So long does a book's page still say that its sale is over.
_REMEMBERED = timedelta(hours=1)
# So long do orders of the last moment, which are still on their way to inventory, find the sale's units.
_LAST_ORDERS = timedelta(seconds=10)


class Phase(StrEnum):
    """Where in its time a sale is."""

    UPCOMING = "upcoming"
    RUNNING = "running"
    OVER = "over"


def phase_between(starts_at: datetime, ends_at: datetime, now: datetime) -> Phase:
    """A sale runs from its start on, and its end is no part of it any more."""
    if now < starts_at:
        return Phase.UPCOMING
    return Phase.RUNNING if now < ends_at else Phase.OVER


def phase_of(sale: models.FlashSale) -> Phase:
    """Where in its time the sale is right now; one that is being made is still to come."""
    return phase_between(sale.starts_at, sale.ends_at, timezone.now()) if sale.pk else Phase.UPCOMING


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a sale says of one book; money in minor units of `settings.CURRENCY`."""

    sale_id: int
    name: str
    price_minor: int
    usual_price_minor: int
    units: int
    """Set aside in all."""
    customer_limit: int | None
    """So many copies may one customer have, all orders together; None for any number."""
    starts_at: datetime
    ends_at: datetime

    def phase(self, now: datetime) -> Phase:
        """Where in its time the sale is at that moment."""
        return phase_between(self.starts_at, self.ends_at, now)

    @property
    def percent_off(self) -> int:
        """By how much the price is lowered, rounded down; 0 where it is not."""
        return max(0, 100 - -(-100 * self.price_minor // self.usual_price_minor))


@dataclass(frozen=True, slots=True)
class Calendar:
    """What is on at one moment, and until when that stays true."""

    at: datetime
    """The moment."""
    by_sku: Mapping[str, Terms]
    """The running sale of each sku, or else its next one."""
    recent: Mapping[str, Terms]
    """The sale that ended last, of skus that have no other."""
    until: datetime
    """The next start or end of any sale."""


Sales = Mapping[str, tuple[Terms, ...]]
"""Of each sku the sales that are not over, and those that were not long ago, by their start."""


def _load() -> Sales:
    rows = models.FlashSaleBook.objects.filter(sale__ends_at__gt=timezone.now() - _REMEMBERED)
    found: dict[str, tuple[Terms, ...]] = {}
    for row in rows.select_related("sale", "book").order_by("sale__starts_at", "sale_id"):
        terms = Terms(
            sale_id=row.sale_id,
            name=row.sale.name,
            price_minor=row.price_minor,
            usual_price_minor=row.book.price_minor,
            units=row.units,
            customer_limit=row.sale.customer_limit,
            starts_at=row.sale.starts_at,
            ends_at=row.sale.ends_at,
        )
        found[row.book.isbn] = (*found.get(row.book.isbn, ()), terms)
    return found


_sales: ttl_cache.TtlCache[Sales] = ttl_cache.TtlCache(_load, max_age_seconds=1.0)
# What was made of which snapshot: threads replace it as a whole, and each may use what it found.
_known: tuple[Sales, Calendar] | None = None


def calendar() -> Calendar:
    """The sales as they are right now: what was read is at most one second old, starts and ends are of this moment.

    The same object is returned as long as nothing changes.
    """
    return _calendar_of(_sales.get())


def last_known() -> Calendar:
    """The same from a table however old: for showing a page while the database is away, not for selling."""
    return _calendar_of(_sales.last_known())


def terms_by_sku() -> Mapping[str, Terms]:
    """Of each sku that has one, the sale that is running, or else the next one."""
    return calendar().by_sku


def forget() -> None:
    """Read the sales anew on the next call of this process."""
    _sales.forget()


def _calendar_of(sales: Sales) -> Calendar:
    global _known
    known, now = _known, timezone.now()
    if known is None or known[0] is not sales or now >= known[1].until:
        _known = known = (sales, _at(sales, now))
    return known[1]


def _at(sales: Sales, now: datetime) -> Calendar:
    by_sku: dict[str, Terms] = {}
    recent: dict[str, Terms] = {}
    for sku, all_terms in sales.items():
        coming = [terms for terms in all_terms if terms.phase(now) is not Phase.OVER]
        if coming:
            by_sku[sku] = coming[0]
        else:
            recent[sku] = all_terms[-1]
    moments = {at for all_terms in sales.values() for terms in all_terms for at in (terms.starts_at, terms.ends_at)}
    until = min((at for at in moments if at > now), default=datetime.max.replace(tzinfo=now.tzinfo))
    return Calendar(at=now, by_sku=by_sku, recent=recent, until=until)


def customer_of(user_id: int | None, email: str) -> str:
    """Who buys, as a pseudonym of 32 hex digits: the account if there is one, else the address that mail goes to.

    It is the same in all orders of one customer and tells nobody who that is; an account and a guest are two.
    """
    whom = f"guest:{email.strip().casefold()}" if user_id is None else f"account:{user_id}"
    return salted_hmac("shop.flash_sales.customer", whom, algorithm="sha256").hexdigest()[:32]


def closes_at(sale: models.FlashSale) -> datetime:
    """From when on the sale's free units go back: a moment after its end, for the orders that came just before it."""
    return sale.ends_at + _LAST_ORDERS


def allotments(sale: models.FlashSale, books: Iterable[models.FlashSaleBook]) -> list[stock_adjustments.Allotment]:
    """What inventory is to set aside for these books of the sale."""
    return [
        stock_adjustments.Allotment(
            sale_id=sale.pk or 0,  # one that is not saved yet is only tried, see `obstacle`
            sku=row.book.isbn,
            units=row.units,
            customer_limit=sale.customer_limit,
            hold_seconds=sale.hold_seconds,
            closes_at=closes_at(sale),
        )
        for row in books
    ]


def set_aside(sale: models.FlashSale, *, by: str) -> None:
    """Bring the sale's bins to what the sale says; needs a transaction, and is safe to repeat.

    Raises:
        inventory.stock_adjustments.NotEnough: some book has too few units, or has held and sold more; nothing changes.
    """
    books = sale.books.select_related("book")
    stock_adjustments.set_aside(allotments=allotments(sale, books), reason=f"sale “{sale.name}”", by=by)
    transaction.on_commit(forget)


def give_back(sale: models.FlashSale, skus: Iterable[str], *, by: str) -> None:
    """These books leave the sale: their units go back to the ordinary ones; needs a transaction.

    Raises:
        inventory.stock_adjustments.NotEnough: some units are held or sold already; nothing is changed.
    """
    stock_adjustments.set_aside(
        allotments=[
            stock_adjustments.Allotment(
                sale_id=sale.pk,
                sku=sku,
                units=0,
                customer_limit=sale.customer_limit,
                hold_seconds=sale.hold_seconds,
                closes_at=closes_at(sale),
            )
            for sku in skus
        ],
        reason=f"not in the sale “{sale.name}” any more",
        by=by,
    )
    transaction.on_commit(forget)


def obstacle(allotment: stock_adjustments.Allotment) -> str:
    """What would stand in the way of setting this aside, in words; empty if nothing would. Nothing is changed."""
    try:
        with transaction.atomic():
            stock_adjustments.set_aside(allotments=[allotment], reason="tried", by="")
            transaction.set_rollback(True)
    except stock_adjustments.NotEnough as error:
        return str(error)
    return ""


def end_now(sale: models.FlashSale, *, by: str) -> None:
    """Let a running sale be over from this moment on; needs a transaction. What is free, the timekeeper puts back."""
    sale.ends_at = timezone.now()
    sale.save(update_fields=["ends_at"])
    set_aside(sale, by=by)
