"""Reading stock."""

from collections.abc import Iterable
from uuid import UUID

from inventory.models import Reservation, Stock
from inventory.redis_counters import admission


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
