"""Reading stock, and which pools turned.

# Note [Turns]
A pool *turns* when it gets its first free unit or gives away its last one. A trigger of the stock's table notes that
(`PoolTurn`), which costs a row at a turn and nothing else, and no lock. Who keeps count of such pools takes the notes,
and then looks at the pools as they are by then.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection

from inventory.models import Reservation, Stock
from inventory.redis_counters import admission
from kafka_bridge.runtime.postgresql import transactions

_TAKE = """
WITH taken AS (
    DELETE FROM inventory_poolturn WHERE id IN (
        SELECT id FROM inventory_poolturn ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING bin
)
SELECT DISTINCT bin FROM taken
"""
_TURNED = """
SELECT bin, coalesce((SELECT received > held + sold FROM inventory_stock s WHERE s.bin = t.bin), false)
FROM (SELECT DISTINCT bin FROM inventory_poolturn) AS t
"""


def free_by_pool(pools: Iterable[str]) -> dict[str, int]:
    """Free units by pool, from PostgreSQL; a pool that never had a unit is missing."""
    rows = Stock.objects.filter(bin__in=list(pools)).values_list("bin", "received", "held", "sold")
    return {name: received - held - sold for name, received, held, sold in rows}


def sold_by_pool(pools: Iterable[str]) -> dict[str, int]:
    """Units that are sold, by pool; a pool that never had a unit is missing."""
    return dict(Stock.objects.filter(bin__in=list(pools)).values_list("bin", "sold"))


def reservation_states(order_ids: Iterable[UUID]) -> dict[UUID, str]:
    """What inventory has done about these orders (`Reservation.State`); one that it has not looked at is missing."""
    return dict(Reservation.objects.filter(pk__in=list(order_ids)).values_list("order_id", "state"))


def available_by_pool(pools: Iterable[str]) -> dict[str, int]:
    """Units that can be ordered right now, by pool, for display; a pool that never had a unit is missing.

    From the Redis counters, and from PostgreSQL for pools whose counter is unknown.
    """
    pools = list(pools)
    available = admission.read_available(pools)
    if unknown := [name for name in pools if name not in available]:
        available |= free_by_pool(unknown)
    return available


def all_counts() -> list[admission.Count]:
    """Every pool with its free units and their version."""
    rows = Stock.objects.order_by("bin").values_list("bin", "received", "held", "sold", "version")
    return [(name, received - held - sold, version) for name, received, held, sold, version in rows]


def turned() -> dict[str, bool]:
    """Of the pools whose turns nobody has taken yet, whether they have a free unit now. See Note [Turns]."""
    with connection.cursor() as cursor:
        cursor.execute(_TURNED)
        return dict(cursor.fetchall())


def take_turns(most: int) -> list[str]:
    """The pools of the oldest turns, which are gone once the transaction commits. See Note [Turns]."""
    transactions.require("inventory.queries")
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [most])
        return [pool for (pool,) in cursor.fetchall()]
