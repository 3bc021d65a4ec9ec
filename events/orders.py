"""The facts that orders states."""

from typing import ClassVar
from uuid import UUID

from events.base import Line, OrderEvent
from kafka_bridge.wire.events import Topic

TOPIC = Topic(name="orders.events", owner="orders")


class OrderCreated(OrderEvent, frozen=True, kw_only=True):
    """An order was placed: its stock is held (reserve first) or its card is charged (payment first)."""

    TYPE: ClassVar = "order.created"
    TOPIC: ClassVar = TOPIC
    lines: tuple[Line, ...]
    total_minor: int
    currency: str
    payment_method: str
    """The gateway's token for the chosen means of payment; not card data."""
    customer: str = ""
    """A pseudonym that is the same in all orders of one customer; given where a sale has a limit per customer."""
    contact: str = ""
    """The same for the mail address alone, whoever is signed in; given where `customer` is."""
    visitor: str = ""
    """A pseudonym of the account or session that ordered, that inventory counts unpaid holds by."""
    network: str = ""
    """A pseudonym of the network that the order came from, for the same."""
    shipping_minor: int = 0
    """What of the total is paid for shipping, with its tax; the rest is for the lines."""
    discount_minor: int = 0
    """What a coupon took off; the lines have it in their amounts."""
    tax_minor: int = 0
    """The tax in the total."""


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """An order is paid and held: a parcel is made, a mail goes out, the sales count."""

    TYPE: ClassVar = "order.confirmed"
    TOPIC: ClassVar = TOPIC
    lines: tuple[Line, ...]
    total_minor: int
    currency: str
    shipping_minor: int = 0
    """As in order.created."""


class OrderShipped(OrderEvent, frozen=True, kw_only=True):
    """The parcel left: a mail goes out with its tracking number."""

    TYPE: ClassVar = "order.shipped"
    TOPIC: ClassVar = TOPIC
    tracking_number: str


class OrderDelivered(OrderEvent, frozen=True, kw_only=True):
    """The parcel arrived."""

    TYPE: ClassVar = "order.delivered"
    TOPIC: ClassVar = TOPIC


class OrderReduced(OrderEvent, frozen=True, kw_only=True):
    """Some units of a confirmed order were cancelled: exactly those go back on the shelf, and their money back."""

    TYPE: ClassVar = "order.reduced"
    TOPIC: ClassVar = TOPIC
    lines: tuple[Line, ...]
    """Every line that is reduced, with all units cancelled of it so far: hearing it twice is harmless."""
    amount_minor: int
    """What goes back now, in minor units."""
    reduction: int
    """1 for the first reduction of the order, and so on."""
    currency: str
    reason: str
    cancelled_now: tuple[Line, ...] = ()
    """The units cancelled this time alone, for those who count."""


class OrderReturned(OrderEvent, frozen=True, kw_only=True):
    """Units of an order that had left are paid back: exactly their money goes back."""

    TYPE: ClassVar = "order.returned"
    TOPIC: ClassVar = TOPIC
    lines: tuple[Line, ...]
    """The units that are paid back this time."""
    amount_minor: int
    """What goes back now, in minor units; with the last units also what was paid for shipping."""
    number: int
    """1 for the first return of the order, and so on."""
    currency: str
    reason: str


class OrderPaymentRefused(OrderEvent, frozen=True, kw_only=True):
    """A payment.confirmed did not match the charge that payments itself has: nothing moved, and a person looks."""

    TYPE: ClassVar = "order.payment_refused"
    TOPIC: ClassVar = TOPIC
    charge_id: UUID
    amount_minor: int
    """What the event claimed, in minor units."""
    currency: str
    why: str


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    """An order ended without a sale: holds are released, money goes back, a mail goes out."""

    TYPE: ClassVar = "order.cancelled"
    TOPIC: ClassVar = TOPIC
    reason: str
    total_minor: int
    """What the order still came to; what it was reduced by before is no part of it."""
    currency: str
    was_confirmed: bool
    lines: tuple[Line, ...] = ()
    """Of a confirmed order, the units that it still had."""
