"""What staff do to stock: receive units, correct a count, set units aside for a sale.

Every function needs a transaction and records in the ledger who did it and why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models.functions import Now

from inventory import ledger
from inventory.ledger import Kind, MovementEntry
from inventory.models import Stock, pool_name
from kafka_bridge.runtime.postgresql import transactions

MOST_AT_ONCE = 10_000_000


class NotEnough(Exception):
    """Too few units are free; the message says how many. Held and sold units are never taken away."""


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """What is set aside for a sale of one sku."""

    sale_id: int
    sku: str
    units: int
    """The total, including units held and sold."""
    customer_limit: int | None
    """Units that one customer may have, over all orders; None for no limit."""
    hold_seconds: int | None
    """How long a unit is held for an unpaid order; None for `settings.HOLD_SECONDS`."""
    closes_at: datetime

    @property
    def pool(self) -> str:
        """The stock pool of the sale."""
        return pool_name(self.sku, self.sale_id)


def receive(*, quantities: Mapping[str, int], reason: str, by: str = "shop") -> None:
    """Add units that have arrived, by sku.

    Raises:
        ValueError: a quantity is below 1 or above `MOST_AT_ONCE`.
    """
    transactions.require("inventory.stock_adjustments")
    if wrong := {sku: units for sku, units in quantities.items() if not 1 <= units <= MOST_AT_ONCE}:
        raise ValueError(f"quantities received must be 1 or more, up to {MOST_AT_ONCE:,} ({reason}): {wrong}")
    _create_pools({sku: sku for sku in quantities})
    ledger.lock(quantities)
    ledger.write(
        [
            MovementEntry(pool=sku, kind=Kind.RECEIVED, received=units, by=by, reason=reason)
            for sku, units in quantities.items()
        ]
    )


def correct(*, sku: str, change: int, reason: str, by: str) -> None:
    """Correct a wrong count: there are so many more (or, below 0, fewer) units of a sku than the records say.

    Raises:
        NotEnough: fewer units are free than would be taken away.
        ValueError: the change is 0 or above `MOST_AT_ONCE`.
    """
    transactions.require("inventory.stock_adjustments")
    if change == 0 or abs(change) > MOST_AT_ONCE:
        raise ValueError(f"a correction changes 1 to {MOST_AT_ONCE:,} units, not {change:,}")
    _create_pools({sku: sku})
    free = ledger.lock([sku])[sku].free
    if free + change < 0:
        raise NotEnough(f"Only {free:,} units of {sku} are free, so {-change:,} cannot be missing.")
    ledger.write([MovementEntry(pool=sku, kind=Kind.CORRECTED, received=change, by=by, reason=reason)])


def set_aside(*, allotments: Iterable[Allotment], reason: str, by: str) -> None:
    """Set the size of a sale's pools, with units from the ordinary pools or back to them; all or nothing.

    Raises:
        NotEnough: an ordinary pool has too few free units, or a sale has held and sold more than it is to have.
        ValueError: units are below 0.
    """
    transactions.require("inventory.stock_adjustments")
    wanted = {allotment.pool: allotment for allotment in allotments}
    if wrong := [allotment.sku for allotment in wanted.values() if allotment.units < 0]:
        raise ValueError(f"units set aside must be 0 or more: {', '.join(wrong)}")
    pools = {name: allotment.sku for name, allotment in wanted.items()}
    _create_pools({**pools, **{sku: sku for sku in pools.values()}})
    locked = ledger.lock([*pools, *pools.values()])
    received = dict(Stock.objects.filter(bin__in=list(pools)).values_list("bin", "received"))
    for allotment in wanted.values():
        _store_rules(allotment)
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
    """Move free units of ended sales back to their ordinary pools. Returns the number of units."""
    transactions.require("inventory.stock_adjustments")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bin, sku FROM inventory_stock WHERE closes_at < now() AND received > held + sold LIMIT %s", [limit]
        )
        over = dict(cursor.fetchall())
    return _move_back(over, by="timekeeper", reason="it is set aside no longer")


def close(*, pools: Mapping[str, str], reason: str, by: str) -> int:
    """End these pools (each with its sku) now: free units go back, those of orders as soon as the orders give them up.

    Returns the number of units that went back.
    """
    transactions.require("inventory.stock_adjustments")
    Stock.objects.filter(bin__in=list(pools)).update(closes_at=Now())
    return _move_back(pools, by=by, reason=reason)


def _move_back(pools: Mapping[str, str], *, by: str, reason: str) -> int:
    locked = ledger.lock([*pools, *pools.values()])
    entries = [
        entry
        for name, sku in sorted(pools.items())
        if name in locked
        for entry in _moved(sku, name, -locked[name].free, by=by, reason=reason)
    ]
    ledger.write(entries)
    return sum(entry.received for entry in entries if entry.received > 0)


def _moved(sku: str, name: str, units: int, *, by: str, reason: str) -> list[MovementEntry]:
    """Move so many units from the ordinary pool to that of a sale; below 0, back."""
    if not units:
        return []
    return [
        MovementEntry(pool=sku, kind=Kind.SET_ASIDE, received=-units, by=by, reason=reason),
        MovementEntry(pool=name, kind=Kind.SET_ASIDE, received=units, by=by, reason=reason),
    ]


def _create_pools(skus: Mapping[str, str]) -> None:
    """Create those of these pools (each with its sku) that do not exist."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_stock (bin, sku, received, held, sold, version)
            SELECT bin, sku, 0, 0, 0, 0 FROM unnest(%s::text[], %s::text[]) AS t(bin, sku) ON CONFLICT DO NOTHING
            """,
            [sorted(skus), [skus[name] for name in sorted(skus)]],
        )


def _store_rules(allotment: Allotment) -> None:
    """Copy the sale's rules to its pool, which is locked: inventory may not read the sale."""
    Stock.objects.filter(bin=allotment.pool).update(
        sale_id=allotment.sale_id,
        customer_limit=allotment.customer_limit,
        hold_seconds=allotment.hold_seconds,
        closes_at=allotment.closes_at,
    )
