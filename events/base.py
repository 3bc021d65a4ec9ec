"""What the events of all apps share: the flows, a line of an order, and that they are about one order."""

from uuid import UUID

import msgspec

from kafka_bridge.wire.events import Event

RESERVE_FIRST = "reserve_first"
PAYMENT_FIRST = "payment_first"
FLOWS = (RESERVE_FIRST, PAYMENT_FIRST)


class OrderEvent(Event, frozen=True, kw_only=True):
    """A fact about one order; the flow travels with it, so that both flows can be under way at once."""

    order_id: UUID
    flow: str

    @property
    def key(self) -> str:
        """The order's id: all facts of one app about one order stay in sequence."""
        return str(self.order_id)

    @property
    def correlation_id(self) -> UUID:
        """The order's id."""
        return self.order_id


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So many units of one book at one price; amounts in minor units (cents)."""

    sku: str
    quantity: int
    unit_price_minor: int
    sale_id: int | None = None
    """The sale for which the units were set aside, if it is one; below 0 for a copy that was kept for this buyer."""
    amount_minor: int | None = None
    """What these units cost together, with their discount and added tax; None where it is quantity times price."""

    @property
    def paid_minor(self) -> int:
        """What these units cost together, in minor units."""
        return self.quantity * self.unit_price_minor if self.amount_minor is None else self.amount_minor
