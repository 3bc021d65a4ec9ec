"""The facts that inventory states."""

from datetime import datetime
from typing import ClassVar

from events.base import Line, OrderEvent
from kafka_bridge.wire.events import Topic

TOPIC = Topic(name="inventory.events", owner="inventory")


class InventoryReserved(OrderEvent, frozen=True, kw_only=True):
    """All lines of an order are held: its card is charged, or its paid order is confirmed."""

    TYPE: ClassVar = "inventory.reserved"
    TOPIC: ClassVar = TOPIC
    lines: tuple[Line, ...]
    total_minor: int
    currency: str
    payment_method: str
    held_until: datetime | None = None
    """When the hold is given up unless it is paid; None where it is a sale already."""
    shipping_minor: int = 0
    """What of the total is paid for shipping, as in order.created; the rest is for the lines."""


class InventoryInsufficient(OrderEvent, frozen=True, kw_only=True):
    """Not all lines could be held, so none is: the order is cancelled as out of stock, or as over the limit."""

    TYPE: ClassVar = "inventory.insufficient"
    TOPIC: ClassVar = TOPIC
    missing: tuple[str, ...]
    """The skus of which there was not enough."""
    over_limit: tuple[str, ...] = ()
    """The skus of which the customer would have had more than a sale allows."""


class InventoryExpired(OrderEvent, frozen=True, kw_only=True):
    """An order was not paid while its stock was held, and now never will be: it is cancelled."""

    TYPE: ClassVar = "inventory.expired"
    TOPIC: ClassVar = TOPIC
    too_many_unpaid: bool = False
    """Whether it was given up early, because its visitor or network had too many unpaid orders of the same book."""
