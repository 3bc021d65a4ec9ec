"""Stock as shopkeepers see it: by book, over all of its bins, beside what the gate says; and the ledger in words."""

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

from inventory import admission
from inventory.models import Movement, Stock
from kafka_bridge import admin as facts
from orders.models import Order
from shop.models import Book, FlashSale
from shop.templatetags.shop_words import FEW

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
    """One row for each book: its ordinary bin, with the sums over all of its bins and the catalogue's title.

    The sums are `all_received`, `all_held`, `all_sold`, `all_free`; `set_aside` is what is free in bins of sales.
    """
    title = Book.objects.filter(isbn=OuterRef("sku")).values("title")[:1]
    return rows.filter(bin=F("sku")).annotate(title=Subquery(title), **sums_of(OuterRef("sku")))


def sums_of(sku: Any) -> dict[str, Coalesce]:
    """Annotations with the sums over all bins of a book."""
    bins = Stock.objects.filter(sku=sku).order_by().values("sku")

    def total(found: QuerySet[Stock, Any], what: Any) -> Coalesce:
        return Coalesce(Subquery(found.annotate(n=Sum(what)).values("n"), output_field=IntegerField()), 0)

    return {
        "all_received": total(bins, "received"),
        "all_held": total(bins, "held"),
        "all_sold": total(bins, "sold"),
        "all_free": total(bins, _FREE),
        "set_aside": total(bins.exclude(sale_id=None), _FREE),
    }


def free_label(free: int) -> str:
    """Free units, coloured when they are few or none."""
    if free <= 0:
        return facts.label("none", "danger")
    return facts.label(f"{free:,}", "warning" if free <= FEW else "success")


# -- The gate ---------------------------------------------------------------------------------------------
def gate_labels(bins: Sequence[Stock]) -> dict[str, str]:
    """What the gate says of these bins, which were read before it is asked, each as a label; one round trip."""
    told = admission.inspect([stock.bin for stock in bins])
    return {stock.bin: gate_label([stock], told) for stock in bins}


def gate_labels_by_book(skus: Sequence[str]) -> dict[str, str]:
    """What the gate says of all bins of each of these books; one query and one round trip."""
    bins: dict[str, list[Stock]] = defaultdict(list)
    for stock in Stock.objects.filter(sku__in=skus).order_by("bin"):
        bins[stock.sku].append(stock)
    told = admission.inspect([stock.bin for found in bins.values() for stock in found])
    return {sku: gate_label(bins[sku], told) for sku in skus}


def gate_label(bins: Sequence[Stock], told: Mapping[str, admission.InFlight]) -> str:
    """The units that the gate lets through, in a colour if it is wrong: it has PostgreSQL's count, and another number.

    A lower version is a count that is just being told, a higher one was told after PostgreSQL was read.
    """
    unknown = [stock.bin for stock in bins if stock.bin not in told]
    if unknown or not bins:
        return facts.label("unknown", title="The gate cannot vouch for it; PostgreSQL decides")
    wrong = [s.bin for s in bins if told[s.bin].version == s.version and told[s.bin].free != s.free]
    units = f"{sum(max(0, told[stock.bin].free - told[stock.bin].taken) for stock in bins):,}"
    if wrong:
        return facts.label(units, "warning", title=f"PostgreSQL says otherwise of {', '.join(wrong)}; it decides")
    return facts.label(units, title="The same as PostgreSQL, but for orders that are just being decided")


# -- The ledger -------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class PoolRow:
    """A row of the table of a book's bins."""

    stock: Stock
    free: str
    gate: str
    place: str


@dataclass(frozen=True, kw_only=True)
class MovementLine:
    """A line of the ledger, as it is shown."""

    movement: Movement
    kind: str
    words: str
    change: int
    """Of the free units."""
    free_after: int | None
    """Free units of the book in all bins once it was done; None where only some movements are shown, and for a line
    that stands for many."""
    place: str
    order: str


def bins_of(sku: str) -> list[PoolRow]:
    """A book's bins, the ordinary one first."""
    bins = list(Stock.objects.filter(sku=sku).order_by("bin"))
    labels, places = gate_labels(bins), _places([stock.sale_id for stock in bins])
    return [
        PoolRow(stock=stock, free=free_label(stock.free), gate=labels[stock.bin], place=places[stock.sale_id])
        for stock in bins
    ]


def movements_of(sku: str, kind: str) -> QuerySet[Movement]:
    """A book's movements, newest first, of this kind or of all; of all, each with `free_after`.

    What is free now and what moved since are read in one statement, so the two fit whatever happens meanwhile.
    """
    found = Movement.objects.filter(sku=sku).order_by("-id")
    if kind:
        return found.filter(kind=kind)
    bins = Stock.objects.filter(sku=Value(sku)).order_by().values("sku")
    now = Subquery(bins.annotate(n=Sum(_FREE)).values("n"), output_field=IntegerField())
    newer = Window(Sum(_FREE), order_by=F("id").desc(), frame=RowRange(end=-1), output_field=IntegerField())
    return found.annotate(free_after=Coalesce(now, 0) - Coalesce(newer, 0))


def entries(page: "Page[Movement]") -> list[MovementLine]:
    """The lines of one page, with the orders' references and the sales' names; two queries more."""
    movements = list(page.object_list)
    places = _places([_sale_id(movement.bin) for movement in movements])
    ids = {movement.order_id for movement in movements if movement.order_id}
    references = dict(Order.objects.filter(pk__in=ids).values_list("pk", "reference"))
    return [
        MovementLine(
            movement=movement,
            kind=facts.label(movement.get_kind_display(), KIND_COLOURS[Kind(movement.kind)]),
            words=in_words(movement),
            change=movement.received - movement.held - movement.sold,
            free_after=None if movement.carried else getattr(movement, "free_after", None),
            place=places[_sale_id(movement.bin)],
            order=facts.link(facts.page_of(Order, movement.order_id), references[movement.order_id])
            if movement.order_id in references
            else "",
        )
        for movement in movements
    ]


def in_words(movement: Movement) -> str:
    """What a movement did, as a shopkeeper would say it."""
    received, held, sold = movement.received, movement.held, movement.sold
    if movement.carried:
        sums = {"received": received, "held": held, "sold": sold}
        told = ", ".join(f"{units:+,} {name}" for name, units in sums.items() if units) or "nothing in all"
        lines = "1 movement" if movement.carried == 1 else f"{movement.carried:,} movements"
        return f"{lines} until then, carried forward: {told}"
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


def _places(sale_ids: Sequence[int | None]) -> dict[int | None, str]:
    """By sale (None for none): what the bin is called, with a link where there is a page."""
    sales = FlashSale.objects.in_bulk({sale_id for sale_id in sale_ids if sale_id is not None})
    places: dict[int | None, str] = {None: "ordinary"}
    for sale_id in sale_ids:
        if sale_id is None:
            continue
        sale = sales.get(sale_id)
        if sale is None:
            places[sale_id] = f"sale {sale_id}, which is gone"
        elif admin.site.is_registered(FlashSale):
            places[sale_id] = facts.link(reverse("admin:shop_flashsale_change", args=[sale_id]), sale)
        else:
            places[sale_id] = str(sale)
    return places


def _sale_id(name: str) -> int | None:
    sale = name.partition("@")[2]
    return int(sale) if sale else None
