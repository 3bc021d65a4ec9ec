"""The limit per customer: how many units of a pool one customer may have, over all orders together."""

from collections import Counter
from collections.abc import Iterable, Mapping

from django.db import connection

from inventory.ledger import LockedPool
from inventory.reservations.reservation_requests import ReservationRequest

_UNITS_OF_CUSTOMERS = """
WITH mine AS (
    SELECT customer AS who, id FROM inventory_hold
    WHERE customer = ANY(%(customers)s) AND customer <> '' AND bin = ANY(%(pools)s)
    UNION
    SELECT contact, id FROM inventory_hold
    WHERE contact = ANY(%(customers)s) AND contact <> '' AND bin = ANY(%(pools)s)
)
SELECT mine.who, h.bin, sum(h.quantity - h.given_back)
FROM mine JOIN inventory_hold h ON h.id = mine.id JOIN inventory_reservation r ON r.order_id = h.reservation_id
WHERE r.state IN ('held', 'sold')
GROUP BY mine.who, h.bin
"""


class CustomerLimits:
    """Counts what each customer has of the limited pools while a batch is served."""

    def __init__(self, requests: Iterable[ReservationRequest], pools: Mapping[str, LockedPool]) -> None:
        """Read what the customers have already; `pools` must be locked, so that nothing is added meanwhile."""
        self._limits = {name: pool.customer_limit for name, pool in pools.items() if pool.customer_limit is not None}
        self._units = _units_of_customers(
            {who for request in requests if self._limits.keys() & request.units.keys() for who in request.customers},
            self._limits,
        )

    def exceeded_pools(self, request: ReservationRequest) -> list[str]:
        """Pools of which the customer would have more than allowed."""
        return [
            name
            for name, units in request.units.items()
            if name in self._limits and self._units_of(request, name) + units > self._limits[name]
        ]

    def add(self, request: ReservationRequest) -> None:
        """Count a request that was granted."""
        self._units.update(
            {(who, name): units for who in _customers_of(request) for name, units in request.units.items()}
        )

    def _units_of(self, request: ReservationRequest, pool: str) -> int:
        return max(self._units[who, pool] for who in _customers_of(request))


def _customers_of(request: ReservationRequest) -> Iterable[str]:
    """An order of before may name nobody; all of those are one customer."""
    return request.customers or ("",)


def _units_of_customers(customers: set[str], pools: Iterable[str]) -> Counter[tuple[str, str]]:
    """Held and sold units by customer and pool; units that were given back count no more."""
    if not customers:
        return Counter()
    with connection.cursor() as cursor:
        cursor.execute(_UNITS_OF_CUSTOMERS, {"customers": sorted(customers), "pools": sorted(pools)})
        return Counter({(customer, pool): int(units) for customer, pool, units in cursor.fetchall()})
