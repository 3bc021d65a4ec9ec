"""What an order asks of inventory, and the answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from events import catalogue
from inventory.models import UNITS_MAX, sku_of_pool


@dataclass(frozen=True, kw_only=True)
class ReservationRequest:
    """Everything one order needs: units by stock pool (see `models.pool_name`)."""

    order_id: UUID
    units: Mapping[str, int]
    flow: str = catalogue.RESERVE_FIRST
    customer: str = ""
    """The buyer, as a pseudonym; needed for pools with a limit per customer."""
    contact: str = ""
    """The buyer's mail address, as a pseudonym; likewise."""
    visitor: str = ""
    """Who ordered, as a pseudonym; unpaid holds are counted by it."""
    network: str = ""
    """The network that the order came from, as a pseudonym; likewise."""

    @property
    def customers(self) -> frozenset[str]:
        """Everybody to whom a limit per customer counts this order."""
        return frozenset({self.customer, self.contact}) - {""}


@dataclass(frozen=True, kw_only=True)
class ReservationOutcome:
    """The answer to a request. If nothing is held, it names the skus that were the reason."""

    held: bool
    missing: tuple[str, ...] = ()
    """Skus with too few units."""
    over_limit: tuple[str, ...] = ()
    """Skus of which the customer would have more than allowed."""
    until: datetime | None = field(default=None, compare=False)
    """When an unpaid hold expires."""


HELD = ReservationOutcome(held=True)


def check_quantities(requests: Sequence[ReservationRequest]) -> None:
    """Refuse quantities that no checkout produces.

    Raises:
        ValueError: an order has no units, or a quantity is not 1 to `UNITS_MAX`.
    """
    for request in requests:
        if not request.units or any(not 1 <= units <= UNITS_MAX for units in request.units.values()):
            raise ValueError(
                f"order {request.order_id} asks for {dict(request.units)}: it needs at least one book, and every "
                f"quantity must be 1 to {UNITS_MAX}"
            )


def skus_of(pools: Iterable[str]) -> tuple[str, ...]:
    """The skus of these pools, each once, sorted."""
    return tuple(sorted({sku_of_pool(name) for name in pools}))
