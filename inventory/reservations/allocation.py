"""Who gets the units: a batch of requests is served in turn, under the locks of the pools."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from inventory import ledger, queries
from inventory.ledger import LockedPool
from inventory.reservations.customer_limits import CustomerLimits
from inventory.reservations.reservation_requests import HELD, ReservationOutcome, ReservationRequest, skus_of


class Allocator:
    """Locks the pools that a batch needs and allocates their free units, first come, first served."""

    def __init__(self, requests: Sequence[ReservationRequest]) -> None:
        self.pools: Mapping[str, LockedPool] = (
            ledger.lock(name for request in requests for name in request.units) if requests else {}
        )
        self._free = Counter({name: pool.free for name, pool in self.pools.items()})
        self._limits = CustomerLimits(requests, self.pools)

    def allocate(self, request: ReservationRequest) -> ReservationOutcome:
        """Allocate all lines of the order, or none."""
        missing = skus_of(name for name, units in request.units.items() if self._free[name] < units)
        over_limit = skus_of(self._limits.exceeded_pools(request))
        if missing or over_limit:
            return ReservationOutcome(held=False, missing=missing, over_limit=over_limit)
        self._free.subtract(request.units)
        self._limits.add(request)
        return HELD

    def expiry(self, request: ReservationRequest) -> datetime:
        """When the hold expires: after the shortest hold time of its pools, or `settings.HOLD_SECONDS`.

        Where less than half of what is not sold is free, after at most `settings.SCARCE_HOLD_SECONDS`.
        """
        pools = [self.pools[name] for name in request.units]
        hold_seconds = [pool.hold_seconds for pool in pools if pool.hold_seconds is not None]
        seconds = min(hold_seconds, default=settings.HOLD_SECONDS)
        if any(2 * self._free[pool.pool] < pool.unsold for pool in pools):
            seconds = min(seconds, settings.SCARCE_HOLD_SECONDS)
        return min(pool.at for pool in pools) + timedelta(seconds=seconds)


def confirm_refusals(refused: Sequence[ReservationRequest]) -> dict[UUID, ReservationOutcome]:
    """Of the orders that the Redis counters refused, those that PostgreSQL cannot serve either; takes no lock.

    In a sale that is sold out thousands of orders end here, and none of them must queue for the pool's lock.
    """
    if not refused:
        return {}
    free = Counter(queries.free_by_pool({name for request in refused for name in request.units}))
    outcomes: dict[UUID, ReservationOutcome] = {}
    for request in refused:
        if missing := skus_of(name for name, units in request.units.items() if free[name] < units):
            outcomes[request.order_id] = ReservationOutcome(held=False, missing=missing)
    return outcomes
