"""The limit per customer: how many units of a pool one customer may have, over all orders together."""

from collections import Counter
from collections.abc import Iterable, Mapping

from django.db import connection

from inventory.ledger import LockedPool
from inventory.reservations.reservation_requests import ReservationRequest

_UNITS_OF_CUSTOMERS = """
SELECT h.customer, h.bin, sum(h.quantity - h.given_back)
FROM inventory_hold h JOIN inventory_reservation r ON r.order_id = h.reservation_id
WHERE h.customer = ANY(%s) AND h.customer <> '' AND h.bin = ANY(%s) AND r.state IN ('held', 'sold')
GROUP BY h.customer, h.bin
"""


class CustomerLimits:
    """Counts what each customer has of the limited pools while a batch is served."""

    def __init__(self, requests: Iterable[ReservationRequest], pools: Mapping[str, LockedPool]) -> None:
        """Read what the customers have already; `pools` must be locked, so that nothing is added meanwhile."""
        self._limits = {name: pool.customer_limit for name, pool in pools.items() if pool.customer_limit is not None}
        self._units = _units_of_customers(
            {request.customer for request in requests if self._limits.keys() & request.units.keys()}, self._limits
        )

    def exceeded_pools(self, request: ReservationRequest) -> list[str]:
        """Pools of which the customer would have more than allowed."""
        return [
            name
            for name, units in request.units.items()
            if name in self._limits and self._units[request.customer, name] + units > self._limits[name]
        ]

    def add(self, request: ReservationRequest) -> None:
        """Count a request that was granted."""
        self._units.update({(request.customer, name): units for name, units in request.units.items()})


def _units_of_customers(customers: set[str], pools: Iterable[str]) -> Counter[tuple[str, str]]:
    """Held and sold units by customer and pool; units that were given back count no more."""
    if not customers:
        return Counter()
    with connection.cursor() as cursor:
        cursor.execute(_UNITS_OF_CUSTOMERS, [sorted(customers), sorted(pools)])
        return Counter({(customer, pool): int(units) for customer, pool, units in cursor.fetchall()})
