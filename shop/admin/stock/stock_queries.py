"""Stock by book, over all its stock pools, beside the Redis counters; and the ledger in words."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.paginator import Page
from django.db.models import F, IntegerField, OuterRef, QuerySet, Subquery, Sum, Value, Window
from django.db.models.expressions import RowRange
from django.db.models.functions import Coalesce
from django.urls import reverse

from inventory.models import Movement, Stock
from inventory.redis_counters import admission
from kafka_bridge import admin as facts
from orders.models import Order
from shop.models import Book, FlashSale
from shop.templatetags.shop_words import FEW
from shop.waitlist import serving

Kind = Movement.Kind
MOVEMENTS_A_PAGE = 25
KIND_COLOURS = {
    Kind.OPENED: "",
    Kind.RECEIVED: "success",
    Kind.CORRECTED: "warning",
    Kind.SET_ASIDE: "",
    Kind.HELD: "info",
    Kind.SOLD: "success",
    Kind.RELEASED: "",
    Kind.EXPIRED: "danger",
}
_FREE = F("received") - F("held") - F("sold")


# -- Totals -----------------------------------------------------------------------------------------------
def by_book(rows: QuerySet[Stock]) -> QuerySet[Any]:
    """One row for each book: its ordinary pool, with the sums over all its pools and the catalogue's title.

    The sums are `all_received`, `all_held`, `all_sold`, `all_free`; `set_aside` is what is free in pools of sales.
    """
    title = Book.objects.filter(isbn=OuterRef("sku")).values("title")[:1]
    return rows.filter(bin=F("sku")).annotate(title=Subquery(title), **sums_of(OuterRef("sku")))


def sums_of(sku: Any) -> dict[str, Coalesce]:
    """Annotations with the sums over all stock pools of a book."""
    pools = Stock.objects.filter(sku=sku).order_by().values("sku")

    def total(found: QuerySet[Stock, Any], what: Any) -> Coalesce:
        return Coalesce(Subquery(found.annotate(n=Sum(what)).values("n"), output_field=IntegerField()), 0)

    return {
        "all_received": total(pools, "received"),
        "all_held": total(pools, "held"),
        "all_sold": total(pools, "sold"),
        "all_free": total(pools, _FREE),
        "set_aside": total(pools.exclude(sale_id=None), _FREE),
    }


def free_label(free: int) -> str:
    """Free units; coloured if few or none are left."""
    if free <= 0:
        return facts.label("none", "danger")
    return facts.label(f"{free:,}", "warning" if free <= FEW else "success")


# -- The Redis counters -----------------------------------------------------------------------------------
def counter_labels(pools: Sequence[Stock]) -> dict[str, str]:
    """The counter of each of these pools as a label, in one round trip; the pools must have been read before."""
    counters = admission.read_counters([stock.bin for stock in pools])
    return {stock.bin: counter_label([stock], counters) for stock in pools}


def counter_labels_by_book(skus: Sequence[str]) -> dict[str, str]:
    """The counters of all pools of each of these books as a label; one query and one round trip."""
    pools: dict[str, list[Stock]] = defaultdict(list)
    for stock in Stock.objects.filter(sku__in=skus).order_by("bin"):
        pools[stock.sku].append(stock)
    counters = admission.read_counters([stock.bin for found in pools.values() for stock in found])
    return {sku: counter_label(pools[sku], counters) for sku in skus}


def counter_label(pools: Sequence[Stock], counters: Mapping[str, admission.StockCounter]) -> str:
    """The units that Redis admits; coloured if the counter is wrong: the version of PostgreSQL, another number.

    A lower version is about to be updated, a higher one was updated after PostgreSQL was read. Neither is wrong.
    """
    unknown = [stock.bin for stock in pools if stock.bin not in counters]
    if unknown or not pools:
        return facts.label("unknown", title="No valid counter; PostgreSQL decides")
    wrong = [s.bin for s in pools if counters[s.bin].version == s.version and counters[s.bin].free != s.free]
    units = f"{sum(max(0, counters[stock.bin].free - counters[stock.bin].taken) for stock in pools):,}"
    if wrong:
        return facts.label(units, "warning", title=f"Differs from PostgreSQL, which decides: {', '.join(wrong)}")
    return facts.label(units, title="As in PostgreSQL, less the orders that are being decided")


# -- The ledger -------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class PoolRow:
    """A row of the table of a book's stock pools."""

    stock: Stock
    free: str
    counter: str
    pool: str


@dataclass(frozen=True, kw_only=True)
class MovementLine:
    """A movement as the ledger shows it."""

    movement: Movement
    kind: str
    words: str
    change: int
    """Change of the free units."""
    free_after: int | None
    """Free units of the book in all pools afterwards; None if only some movements are shown, and for a line that
    replaces several."""
    pool: str
    order: str


def pools_of(sku: str) -> list[PoolRow]:
    """A book's stock pools, the ordinary one first."""
    pools = list(Stock.objects.filter(sku=sku).order_by("bin"))
    labels, titles = counter_labels(pools), _pool_titles([stock.sale_id for stock in pools])
    return [
        PoolRow(stock=stock, free=free_label(stock.free), counter=labels[stock.bin], pool=titles[stock.sale_id])
        for stock in pools
    ]


def movements_of(sku: str, kind: str) -> QuerySet[Movement]:
    """A book's movements, newest first, of one kind or of all; with all kinds, each has `free_after`.

    The free units now and what changed since are read in one statement, so they fit even while stock is moving.
    """
    found = Movement.objects.filter(sku=sku).order_by("-id")
    if kind:
        return found.filter(kind=kind)
    pools = Stock.objects.filter(sku=Value(sku)).order_by().values("sku")
    now = Subquery(pools.annotate(n=Sum(_FREE)).values("n"), output_field=IntegerField())
    newer = Window(Sum(_FREE), order_by=F("id").desc(), frame=RowRange(end=-1), output_field=IntegerField())
    return found.annotate(free_after=Coalesce(now, 0) - Coalesce(newer, 0))


def entries(page: "Page[Movement]") -> list[MovementLine]:
    """The lines of one page, with the orders' references and the sales' names; two more queries."""
    movements = list(page.object_list)
    titles = _pool_titles([_sale_id(movement.bin) for movement in movements])
    ids = {movement.order_id for movement in movements if movement.order_id}
    references = dict(Order.objects.filter(pk__in=ids).values_list("pk", "reference"))
    return [
        MovementLine(
            movement=movement,
            kind=facts.label(movement.get_kind_display(), KIND_COLOURS[Kind(movement.kind)]),
            words=in_words(movement),
            change=movement.received - movement.held - movement.sold,
            free_after=None if movement.carried else getattr(movement, "free_after", None),
            pool=titles[_sale_id(movement.bin)],
            order=facts.link(facts.page_of(Order, movement.order_id), references[movement.order_id])
            if movement.order_id in references
            else "",
        )
        for movement in movements
    ]


def in_words(movement: Movement) -> str:
    """What a movement did, in a shopkeeper's words."""
    received, held, sold = movement.received, movement.held, movement.sold
    if movement.carried:
        sums = {"received": received, "held": held, "sold": sold}
        total = ", ".join(f"{units:+,} {name}" for name, units in sums.items() if units) or "nothing in all"
        lines = "1 movement" if movement.carried == 1 else f"{movement.carried:,} movements"
        return f"{lines} until then, carried forward: {total}"
    match Kind(movement.kind):
        case Kind.OPENED:
            return f"{received:,} received, {held:,} held and {sold:,} sold before the ledger began"
        case Kind.RECEIVED:
            return f"{received:,} arrived"
        case Kind.CORRECTED:
            return (
                f"{received:,} more than the records said"
                if received > 0
                else f"{-received:,} fewer than the records said"
            )
        case Kind.SET_ASIDE if movement.by == serving.BY:
            is_kept = (received < 0) == (_sale_id(movement.bin) is None)
            return f"{abs(received):,} kept for a waiting buyer" if is_kept else f"{abs(received):,} kept no longer"
        case Kind.SET_ASIDE if _sale_id(movement.bin) is None:
            return f"{-received:,} set aside for a sale" if received < 0 else f"{received:,} back from a sale"
        case Kind.SET_ASIDE:
            return f"{received:,} put into the sale" if received > 0 else f"{-received:,} taken out of the sale"
        case Kind.HELD:
            return f"{held:,} held for an order"
        case Kind.SOLD:
            return f"{sold:,} held before, now sold" if held else f"{sold:,} sold at once"
        case Kind.RELEASED:
            return f"{-held:,} held before, free again" if held else f"{-sold:,} sold before, free again"
        case Kind.EXPIRED:
            return f"{-held:,} not paid in time, free again"


def _pool_titles(sale_ids: Sequence[int | None]) -> dict[int | None, str]:
    """By sale (None for the ordinary pool): what the pool is called, with a link to the sale if it has a page."""
    sales = FlashSale.objects.in_bulk({sale_id for sale_id in sale_ids if sale_id is not None})
    titles: dict[int | None, str] = {None: "ordinary"}
    for sale_id in sale_ids:
        if sale_id is None:
            continue
        sale = sales.get(sale_id)
        if sale_id < 0:
            titles[sale_id] = "kept for a waiting buyer"
        elif sale is None:
            titles[sale_id] = f"sale {sale_id} (deleted)"
        elif admin.site.is_registered(FlashSale):
            titles[sale_id] = facts.link(reverse("admin:shop_flashsale_change", args=[sale_id]), sale)
        else:
            titles[sale_id] = str(sale)
    return titles


def _sale_id(pool: str) -> int | None:
    sale = pool.partition("@")[2]
    return int(sale) if sale else None
