"""Flash sales: which books are sold at which price and when, and the units set aside for them.

While a sale is running, its books are sold at the sale's price and from the sale's stock pool only; before and after,
at the usual price from the ordinary pool. When the sale is over, the timekeeper moves free units back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.utils import timezone

from inventory import stock_adjustments
from shop import models
from shop.site import ttl_cache
from shop.site.pseudonyms import pseudonym
from shop.typed import emails
from shop.waiting_room.tables import WaitingMode

# How long a book's page says that its sale is over.
_REMEMBERED = timedelta(hours=1)
# Orders of the last moment are still on their way to inventory when the sale ends; for so long they find its units.
LAST_ORDERS = timedelta(seconds=10)


class Phase(StrEnum):
    """Whether a sale is upcoming, running or over."""

    UPCOMING = "upcoming"
    RUNNING = "running"
    OVER = "over"


def phase_between(starts_at: datetime, ends_at: datetime, now: datetime) -> Phase:
    """The phase at a moment; the start belongs to the sale, the end does not."""
    if now < starts_at:
        return Phase.UPCOMING
    return Phase.RUNNING if now < ends_at else Phase.OVER


def phase_of(sale: models.FlashSale) -> Phase:
    """The phase right now; a sale that is not saved yet is upcoming."""
    return phase_between(sale.starts_at, sale.ends_at, timezone.now()) if sale.pk else Phase.UPCOMING


@dataclass(frozen=True, kw_only=True, slots=True)
class SaleTerms:
    """The terms of a sale for one book; money in minor units of `settings.CURRENCY`."""

    sale_id: int
    name: str
    price_minor: int
    usual_price_minor: int
    units: int
    """Total units set aside."""
    customer_limit: int | None
    """Copies that one customer may have, over all orders; None for no limit."""
    starts_at: datetime
    ends_at: datetime
    waiting_room: str = WaitingMode.OFF

    @property
    def has_waiting_room(self) -> bool:
        """Whether an order may need a place in the waiting room."""
        return self.waiting_room != WaitingMode.OFF

    def phase(self, now: datetime) -> Phase:
        """The phase at that moment."""
        return phase_between(self.starts_at, self.ends_at, now)

    @property
    def percent_off(self) -> int:
        """The discount, rounded down; 0 if there is none."""
        return max(0, 100 - -(-100 * self.price_minor // self.usual_price_minor))


@dataclass(frozen=True, slots=True)
class Calendar:
    """The sales at one moment, and until when that stays true."""

    at: datetime
    by_sku: Mapping[str, SaleTerms]
    """The running sale of each sku, or else its next one."""
    recent: Mapping[str, SaleTerms]
    """The sale that ended last, for skus without a running or upcoming one."""
    until: datetime
    """The next start or end of any sale."""


Sales = Mapping[str, tuple[SaleTerms, ...]]
"""By sku, the sales that are not over or ended recently, in the sequence of their start."""


def _load() -> Sales:
    rows = models.FlashSaleBook.objects.filter(sale__ends_at__gt=timezone.now() - _REMEMBERED)
    found: dict[str, tuple[SaleTerms, ...]] = {}
    for row in rows.select_related("sale", "book").order_by("sale__starts_at", "sale_id"):
        terms = SaleTerms(
            sale_id=row.sale_id,
            name=row.sale.name,
            price_minor=row.price_minor,
            usual_price_minor=row.book.price_minor,
            units=row.units,
            customer_limit=row.sale.customer_limit,
            starts_at=row.sale.starts_at,
            ends_at=row.sale.ends_at,
            waiting_room=row.sale.waiting_room,
        )
        found[row.book.isbn] = (*found.get(row.book.isbn, ()), terms)
    return found


_sales: ttl_cache.TtlCache[Sales] = ttl_cache.TtlCache(_load, max_age_seconds=0.5)
# The calendar of a set of sales. Threads replace the pair as a whole, so no lock is needed.
_known: tuple[Sales, Calendar] | None = None


def calendar() -> Calendar:
    """The sales right now: the table is read at most half a second late, starts and ends apply at once.

    Returns the same object as long as nothing changes, so that callers can cache what they derive from it.
    """
    return _calendar_of(_sales.get())


def last_known() -> Calendar:
    """The same, from cached sales of any age: for showing a page without the database, not for selling."""
    return _calendar_of(_sales.last_known())


def terms_by_sku() -> Mapping[str, SaleTerms]:
    """By sku, the running sale, or else the next one."""
    return calendar().by_sku


def forget() -> None:
    """Drop this process's cached sales."""
    _sales.forget()


def _calendar_of(sales: Sales) -> Calendar:
    global _known
    known, now = _known, timezone.now()
    if known is None or known[0] is not sales or now >= known[1].until:
        _known = known = (sales, _at(sales, now))
    return known[1]


def _at(sales: Sales, now: datetime) -> Calendar:
    by_sku: dict[str, SaleTerms] = {}
    recent: dict[str, SaleTerms] = {}
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
    """A pseudonym of the customer, 32 hex digits: of the account, or of a guest's email address.

    It is the same in all orders of a customer and does not reveal who that is. A limit counts by the account and by the
    address of the order, so that neither a second address nor signing out gets around it.
    """
    whom = f"guest:{emails.canonical(email)}" if user_id is None else f"account:{user_id}"
    return pseudonym("shop.flash_sales.customer", whom)


def closes_at(sale: models.FlashSale) -> datetime:
    """When free units start to go back: shortly after the end, for orders placed just before it."""
    return sale.ends_at + LAST_ORDERS


def allotments(sale: models.FlashSale, books: Iterable[models.FlashSaleBook]) -> list[stock_adjustments.Allotment]:
    """What inventory must set aside for these books of the sale."""
    return [
        stock_adjustments.Allotment(
            sale_id=sale.pk or 0,  # a sale that is not saved yet is only tried out, see `obstacle`
            sku=row.book.isbn,
            units=row.units,
            customer_limit=sale.customer_limit,
            hold_seconds=sale.hold_seconds,
            closes_at=closes_at(sale),
        )
        for row in books
    ]


def set_aside(sale: models.FlashSale, *, by: str) -> None:
    """Set the sale's stock pools to what the sale says; needs a transaction, and is safe to repeat.

    Raises:
        inventory.stock_adjustments.NotEnough: a book has too few units, or has held and sold more; nothing is changed.
    """
    books = sale.books.select_related("book")
    stock_adjustments.set_aside(allotments=allotments(sale, books), reason=f"sale “{sale.name}”", by=by)
    transaction.on_commit(forget)


def give_back(sale: models.FlashSale, skus: Iterable[str], *, by: str) -> None:
    """Return the units of books that leave the sale to their ordinary pools; needs a transaction.

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
        reason=f"removed from the sale “{sale.name}”",
        by=by,
    )
    transaction.on_commit(forget)


def obstacle(allotment: stock_adjustments.Allotment) -> str:
    """Why this cannot be set aside, in words; "" if it can. Tries it and rolls back."""
    try:
        with transaction.atomic():
            stock_adjustments.set_aside(allotments=[allotment], reason="tried", by="")
            transaction.set_rollback(True)
    except stock_adjustments.NotEnough as error:
        return str(error)
    return ""


def end_now(sale: models.FlashSale, *, by: str) -> None:
    """End a running sale now; needs a transaction. The timekeeper returns its free units."""
    sale.ends_at = timezone.now()
    sale.save(update_fields=["ends_at"])
    set_aside(sale, by=by)
