"""Holds that wait for their buyers at the bank: how many of them one visitor, and one network, may have of a pool.

# Note [Unpaid holds]
Whoever does not confirm the payment keeps units from everybody else for as long as the hold lasts, at no cost. So of
the units of a pool that are not sold, the orders of one visitor that wait may hold a quarter together, those of one
network a half; an order beyond that loses its hold at once, and says why. The first order that waits is let be, however
large: a school that buys thirty copies is no attack. Holds whose payment is under way are not counted, since they are
over in a second; so a company behind one address can buy in the same moment. Where few units are left, all holds are
shorter (`allocation.py`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from inventory import ledger
from inventory.ledger import LockedPool
from inventory.models import Reservation
from inventory.reservations import reservation_rows
from inventory.reservations.reservation_rows import WaitingUnits
from kafka_bridge.runtime.postgresql import transactions

_LEAST_OF_VISITOR, _LEAST_OF_NETWORK = 2, 4


def note_waiting(*, order_ids: Sequence[UUID]) -> set[UUID]:
    """These buyers are to confirm their payments; returns the orders whose holds are given up, being too many.

    Orders that hold nothing (any more) are left alone, and so are those noted before.
    """
    transactions.require("inventory.reservations.waiting")
    held = set(reservation_rows.lock(order_ids, Reservation.State.HELD))
    pools = ledger.lock(part.pool for part in reservation_rows.units_of(sorted(held)))
    known = reservation_rows.waiting_units(pools, with_orders=held)
    new = [order_id for order_id in dict.fromkeys(order_ids) if order_id in held]
    tally, too_many = _Tally(pools), set()
    tally.add(part for part in known if part.is_noted)
    for order_id in new:
        parts = [part for part in known if part.order_id == order_id and not part.is_noted]
        if tally.exceeds(parts):
            too_many.add(order_id)
        else:
            tally.add(parts)
    reservation_rows.set_waiting(new, too_many)
    return too_many


class _Tally:
    """Units that wait, by pool and by whom."""

    def __init__(self, pools: Mapping[str, LockedPool]) -> None:
        self._pools = pools
        self._units: Counter[tuple[str, str]] = Counter()

    def add(self, parts: Iterable[WaitingUnits]) -> None:
        """Count these."""
        for part in parts:
            self._units.update({(part.pool, who): part.units for who in (part.visitor, part.network) if who})

    def exceeds(self, parts: Sequence[WaitingUnits]) -> bool:
        """Whether these, which are one order's, would be too many beside what waits already."""
        return any(
            self._is_over(part, who, share, least)
            for part in parts
            for who, share, least in ((part.visitor, 4, _LEAST_OF_VISITOR), (part.network, 2, _LEAST_OF_NETWORK))
        )

    def _is_over(self, part: WaitingUnits, who: str, share: int, least: int) -> bool:
        others = self._units[part.pool, who] if who else 0
        return others > 0 and others + part.units > max(least, self._pools[part.pool].unsold // share)
