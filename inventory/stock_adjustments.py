"""What people do with stock: units arrive, counts are corrected, units are set aside for a sale.

Every function needs a transaction under way and says in the ledger who did it and why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from inventory import ledger
from inventory.ledger import Kind, MovementEntry
from inventory.models import Stock, bin_of
from kafka_bridge.runtime import transactions

MOST_AT_ONCE = 10_000_000


class NotEnough(Exception):
    """There are fewer free units than that; the message says how many. What is held or sold stays where it is."""


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """What is set aside for a sale of one sku."""

    sale_id: int
    sku: str
    units: int
    """In all, those held and sold included."""
    customer_limit: int | None
    """So many may one customer have, all orders together; None for any number."""
    hold_seconds: int | None
    """So long is a unit held for an order that is not paid; None for the setting."""
    closes_at: datetime

    @property
    def bin(self) -> str:
        """Where the units lie."""
        return bin_of(self.sku, self.sale_id)


def receive(*, quantities: Mapping[str, int], reason: str, by: str = "shop") -> None:
    """Units have arrived, by sku.

    Raises:
        ValueError: a quantity is below 1, or absurdly high.
    """
    transactions.require("inventory.shelving")
    if wrong := {sku: units for sku, units in quantities.items() if not 1 <= units <= MOST_AT_ONCE}:
        raise ValueError(f"quantities received must be 1 or more, up to {MOST_AT_ONCE:,} ({reason}): {wrong}")
    _open({sku: sku for sku in quantities})
    ledger.lock(quantities)
    ledger.write(
        [
            MovementEntry(bin=sku, kind=Kind.RECEIVED, received=units, by=by, reason=reason)
            for sku, units in quantities.items()
        ]
    )


def correct(*, sku: str, change: int, reason: str, by: str) -> None:
    """A count was wrong: so many more (or, below 0, fewer) units of a sku are there than the books say.

    Raises:
        NotEnough: fewer units are free than would be taken away.
        ValueError: the change is 0, or absurd.
    """
    transactions.require("inventory.shelving")
    if change == 0 or abs(change) > MOST_AT_ONCE:
        raise ValueError(f"a correction changes 1 to {MOST_AT_ONCE:,} units, not {change:,}")
    _open({sku: sku})
    free = ledger.lock([sku])[sku].free
    if free + change < 0:
        raise NotEnough(f"Only {free:,} units of {sku} are free, so {-change:,} cannot be missing.")
    ledger.write([MovementEntry(bin=sku, kind=Kind.CORRECTED, received=change, by=by, reason=reason)])


def set_aside(*, allotments: Iterable[Allotment], reason: str, by: str) -> None:
    """Bring the bins of a sale to these units, out of the ordinary ones or back to them; all or nothing.

    Raises:
        NotEnough: an ordinary bin has too few free units; or a sale has held and sold more than it is to have.
        ValueError: units are below 0.
    """
    transactions.require("inventory.shelving")
    wanted = {allotment.bin: allotment for allotment in allotments}
    if wrong := [allotment.sku for allotment in wanted.values() if allotment.units < 0]:
        raise ValueError(f"units set aside must be 0 or more: {', '.join(wrong)}")
    bins = {name: allotment.sku for name, allotment in wanted.items()}
    _open({**bins, **{sku: sku for sku in bins.values()}})
    locked = ledger.lock([*bins, *bins.values()])
    received = dict(Stock.objects.filter(bin__in=list(bins)).values_list("bin", "received"))
    for allotment in wanted.values():
        _tell(allotment)
    entries: list[MovementEntry] = []
    for name, allotment in sorted(wanted.items()):
        more = allotment.units - received[name]
        if more > locked[allotment.sku].free:
            raise NotEnough(
                f"Only {locked[allotment.sku].free:,} more units of {allotment.sku} are free to be set aside; that "
                f"would take {more:,}."
            )
        if -more > locked[name].free:
            raise NotEnough(
                f"{received[name] - locked[name].free:,} units of {allotment.sku} are held or sold in this sale "
                f"already, so it cannot have {allotment.units:,}."
            )
        entries += _moved(allotment.sku, name, more, by=by, reason=reason)
    ledger.write(entries)


def return_unsold(*, limit: int = 100) -> int:
    """What is free in the bins of sales that are over goes back to the ordinary ones. Returns the number of units."""
    transactions.require("inventory.shelving")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bin, sku FROM inventory_stock WHERE closes_at < now() AND received > held + sold LIMIT %s", [limit]
        )
        over = dict(cursor.fetchall())
    locked = ledger.lock([*over, *over.values()])
    entries = [
        entry
        for name, sku in sorted(over.items())
        for entry in _moved(sku, name, -locked[name].free, by="timekeeper", reason="the sale is over")
    ]
    ledger.write(entries)
    return sum(entry.received for entry in entries if entry.received > 0)


def _moved(sku: str, name: str, units: int, *, by: str, reason: str) -> list[MovementEntry]:
    """So many units go from the ordinary bin to that of a sale; below 0, back."""
    if not units:
        return []
    return [
        MovementEntry(bin=sku, kind=Kind.SET_ASIDE, received=-units, by=by, reason=reason),
        MovementEntry(bin=name, kind=Kind.SET_ASIDE, received=units, by=by, reason=reason),
    ]


def _open(skus: Mapping[str, str]) -> None:
    """Make those of these bins (with the sku that lies in each) that there are none of."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_stock (bin, sku, received, held, sold, version)
            SELECT bin, sku, 0, 0, 0, 0 FROM unnest(%s::text[], %s::text[]) AS t(bin, sku) ON CONFLICT DO NOTHING
            """,
            [sorted(skus), [skus[name] for name in sorted(skus)]],
        )


def _tell(allotment: Allotment) -> None:
    """Let the bin of a sale know the sale's rules; it is locked."""
    Stock.objects.filter(bin=allotment.bin).update(
        sale_id=allotment.sale_id,
        customer_limit=allotment.customer_limit,
        hold_seconds=allotment.hold_seconds,
        closes_at=allotment.closes_at,
    )
