"""Every event there is. The saga on one screen (`manage.py saga` prints it from the live registry):

| event                   | topic            | said by   | heard by (reserve_first)                      | heard by (payment_first)                      |
|-------------------------|------------------|-----------|-----------------------------------------------|-----------------------------------------------|
| order.created           | orders.events    | orders    | inventory                                     | payments                                      |
| inventory.reserved      | inventory.events | inventory | orders, payments                              | orders                                        |
| inventory.insufficient  | inventory.events | inventory | orders                                        | orders                                        |
| inventory.expired       | inventory.events | inventory | orders                                        |                                               |
| payment.action_required | payments.events  | payments  | notifications, orders                         | notifications, orders                         |
| payment.unknown         | payments.events  | payments  | orders                                        | orders                                        |
| payment.notified        | payments.events  | payments  | payments                                      | payments                                      |
| payment.confirmed       | payments.events  | payments  | inventory, orders                             | inventory, orders                             |
| payment.failed          | payments.events  | payments  | orders                                        | orders                                        |
| order.payment_refused   | orders.events    | orders    | payments                                      | payments                                      |
| order.confirmed         | orders.events    | orders    | analytics, notifications, shipping            | analytics, notifications, shipping            |
| order.shipped           | orders.events    | orders    | analytics, notifications                      | analytics, notifications                      |
| order.delivered         | orders.events    | orders    | analytics, notifications                      | analytics, notifications                      |
| order.reduced           | orders.events    | orders    | analytics, inventory, notifications, payments | analytics, inventory, notifications, payments |
| order.returned          | orders.events    | orders    | notifications, payments                       | notifications, payments                       |
| order.cancelled         | orders.events    | orders    | analytics, inventory, notifications, payments | analytics, inventory, notifications, payments |
| payment.refunded        | payments.events  | payments  | notifications, orders                         | notifications, orders                         |

reserve_first: order.created → stock is held → inventory.reserved → the card is charged → payment.confirmed → order.confirmed.
payment_first: order.created → the card is charged → payment.confirmed → stock is held → inventory.reserved → order.confirmed.
"""  # noqa: E501 - a table's row is one line

from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec

from kafka_bridge.wire.events import Event, OrderEvent, Topic

RESERVE_FIRST = "reserve_first"
PAYMENT_FIRST = "payment_first"
FLOWS = (RESERVE_FIRST, PAYMENT_FIRST)

ORDERS = Topic(name="orders.events", owner="orders")
INVENTORY = Topic(name="inventory.events", owner="inventory")
PAYMENTS = Topic(name="payments.events", owner="payments")
TOPICS = (ORDERS, INVENTORY, PAYMENTS)


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So many units of one book at one price; amounts in minor units (cents)."""

    sku: str
    quantity: int
    unit_price_minor: int
    sale_id: int | None = None
    """The sale for which the units were set aside, if it is one."""


class OrderCreated(OrderEvent, frozen=True, kw_only=True):
    """An order was placed: its stock is held (reserve first) or its card is charged (payment first)."""

    TYPE: ClassVar = "order.created"
    TOPIC: ClassVar = ORDERS
    lines: tuple[Line, ...]
    total_minor: int
    currency: str
    payment_method: str
    """The gateway's token for the chosen means of payment; not card data."""
    customer: str = ""
    """A pseudonym that is the same in all orders of one customer; given where a sale has a limit per customer."""


class InventoryReserved(OrderEvent, frozen=True, kw_only=True):
    """All lines of an order are held: its card is charged, or its paid order is confirmed."""

    TYPE: ClassVar = "inventory.reserved"
    TOPIC: ClassVar = INVENTORY
    lines: tuple[Line, ...]
    total_minor: int
    currency: str
    payment_method: str
    held_until: datetime | None = None
    """When the hold is given up unless it is paid; None where it is a sale already."""


class InventoryInsufficient(OrderEvent, frozen=True, kw_only=True):
    """Not all lines could be held, so none is: the order is cancelled as out of stock, or as over the limit."""

    TYPE: ClassVar = "inventory.insufficient"
    TOPIC: ClassVar = INVENTORY
    missing: tuple[str, ...]
    """The skus of which there was not enough."""
    over_limit: tuple[str, ...] = ()
    """The skus of which the customer would have had more than a sale allows."""


class InventoryExpired(OrderEvent, frozen=True, kw_only=True):
    """An order was not paid while its stock was held, and now never will be: it is cancelled."""

    TYPE: ClassVar = "inventory.expired"
    TOPIC: ClassVar = INVENTORY


class PaymentConfirmed(OrderEvent, frozen=True, kw_only=True):
    """The money is in: the order is PAID, its hold becomes a sale (or its stock is held now)."""

    TYPE: ClassVar = "payment.confirmed"
    TOPIC: ClassVar = PAYMENTS
    charge_id: UUID
    transaction_id: str
    amount_minor: int
    currency: str
    payment_method: str
    lines: tuple[Line, ...]
    customer: str = ""
    """As in order.created."""


class PaymentFailed(OrderEvent, frozen=True, kw_only=True):
    """The gateway refused: the order is cancelled with its reason."""

    TYPE: ClassVar = "payment.failed"
    TOPIC: ClassVar = PAYMENTS
    charge_id: UUID
    reason: str


class PaymentActionRequired(OrderEvent, frozen=True, kw_only=True):
    """The buyer has to confirm the payment (3-D Secure): the order's page asks for it."""

    TYPE: ClassVar = "payment.action_required"
    TOPIC: ClassVar = PAYMENTS
    charge_id: UUID
    url: str
    until: datetime | None = None
    """After this it is too late."""


class PaymentUnknown(OrderEvent, frozen=True, kw_only=True):
    """The gateway did not answer, so nobody knows yet whether money moved: the order waits, and says so."""

    TYPE: ClassVar = "payment.unknown"
    TOPIC: ClassVar = PAYMENTS
    charge_id: UUID


class PaymentNotified(OrderEvent, frozen=True, kw_only=True):
    """The gateway knocked (a genuine webhook): payments asks it how the charge stands."""

    TYPE: ClassVar = "payment.notified"
    TOPIC: ClassVar = PAYMENTS
    charge_id: UUID
    notice_id: str
    """The gateway's id of what it told."""


class PaymentRefunded(OrderEvent, frozen=True, kw_only=True):
    """Money went back: the order's page and a mail say so."""

    TYPE: ClassVar = "payment.refunded"
    TOPIC: ClassVar = PAYMENTS
    charge_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str
    reason: str
    left_minor: int = 0
    """What we still have of the charge: more than 0 as long as only a part of it went back."""
    number: int = 1
    """1 for the first refund of the charge that went through, and so on."""


class OrderConfirmed(OrderEvent, frozen=True, kw_only=True):
    """An order is paid and held: a parcel is made, a mail goes out, the sales count."""

    TYPE: ClassVar = "order.confirmed"
    TOPIC: ClassVar = ORDERS
    lines: tuple[Line, ...]
    total_minor: int
    currency: str


class OrderShipped(OrderEvent, frozen=True, kw_only=True):
    """The parcel left: a mail goes out with its tracking number."""

    TYPE: ClassVar = "order.shipped"
    TOPIC: ClassVar = ORDERS
    tracking_number: str


class OrderDelivered(OrderEvent, frozen=True, kw_only=True):
    """The parcel arrived."""

    TYPE: ClassVar = "order.delivered"
    TOPIC: ClassVar = ORDERS


class OrderReduced(OrderEvent, frozen=True, kw_only=True):
    """Some units of a confirmed order were cancelled: exactly those go back on the shelf, and their money back."""

    TYPE: ClassVar = "order.reduced"
    TOPIC: ClassVar = ORDERS
    lines: tuple[Line, ...]
    """Every line that is reduced, with all units cancelled of it so far: hearing it twice is harmless."""
    amount_minor: int
    """What goes back now, in minor units."""
    reduction: int
    """1 for the first reduction of the order, and so on."""
    currency: str
    reason: str
    cancelled_now: tuple[Line, ...] = ()
    """The units cancelled this time alone, for whoever counts."""


class OrderReturned(OrderEvent, frozen=True, kw_only=True):
    """Units of an order that had left are paid back: exactly their money goes back."""

    TYPE: ClassVar = "order.returned"
    TOPIC: ClassVar = ORDERS
    lines: tuple[Line, ...]
    """The units that are paid back this time."""
    amount_minor: int
    """What goes back now, in minor units."""
    number: int
    """1 for the first return of the order, and so on."""
    currency: str
    reason: str


class OrderPaymentRefused(OrderEvent, frozen=True, kw_only=True):
    """A payment.confirmed did not match the charge that payments itself has: nothing moved, and a person looks."""

    TYPE: ClassVar = "order.payment_refused"
    TOPIC: ClassVar = ORDERS
    charge_id: UUID
    amount_minor: int
    """What the event claimed, in minor units."""
    currency: str
    why: str


class OrderCancelled(OrderEvent, frozen=True, kw_only=True):
    """An order ended without a sale: holds are released, money goes back, a mail goes out."""

    TYPE: ClassVar = "order.cancelled"
    TOPIC: ClassVar = ORDERS
    reason: str
    total_minor: int
    """What the order still came to; what it was reduced by before is no part of it."""
    currency: str
    was_confirmed: bool
    lines: tuple[Line, ...] = ()
    """Of a confirmed order, the units that it still had."""


EVENTS: tuple[type[Event], ...] = (
    OrderCreated,
    InventoryReserved,
    InventoryInsufficient,
    InventoryExpired,
    PaymentActionRequired,
    PaymentUnknown,
    PaymentNotified,
    PaymentConfirmed,
    PaymentFailed,
    OrderPaymentRefused,
    OrderConfirmed,
    OrderShipped,
    OrderDelivered,
    OrderReduced,
    OrderReturned,
    OrderCancelled,
    PaymentRefunded,
)
BY_TYPE_AND_VERSION = {(event.TYPE, event.VERSION): event for event in EVENTS}
