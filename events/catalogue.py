"""Every event and every topic there is, under one name; importing this makes them known to the bridge."""

from events import inventory, orders, payments
from events.base import FLOWS, PAYMENT_FIRST, RESERVE_FIRST, Line, OrderEvent
from events.inventory import InventoryExpired, InventoryInsufficient, InventoryReserved
from events.orders import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDelivered,
    OrderPaymentRefused,
    OrderReduced,
    OrderReturned,
    OrderShipped,
)
from events.payments import (
    PaymentActionRequired,
    PaymentConfirmed,
    PaymentFailed,
    PaymentNotified,
    PaymentRefunded,
    PaymentUnknown,
)
from kafka_bridge.wire import event_types
from kafka_bridge.wire.events import Event

__all__ = [
    "EVENTS",
    "FLOWS",
    "INVENTORY",
    "ORDERS",
    "PAYMENTS",
    "PAYMENT_FIRST",
    "RESERVE_FIRST",
    "TOPICS",
    "InventoryExpired",
    "InventoryInsufficient",
    "InventoryReserved",
    "Line",
    "OrderCancelled",
    "OrderConfirmed",
    "OrderCreated",
    "OrderDelivered",
    "OrderEvent",
    "OrderPaymentRefused",
    "OrderReduced",
    "OrderReturned",
    "OrderShipped",
    "PaymentActionRequired",
    "PaymentConfirmed",
    "PaymentFailed",
    "PaymentNotified",
    "PaymentRefunded",
    "PaymentUnknown",
]

ORDERS, INVENTORY, PAYMENTS = orders.TOPIC, inventory.TOPIC, payments.TOPIC
TOPICS = (ORDERS, INVENTORY, PAYMENTS)

# In the sequence in which a story meets them; tables and the schemas follow it.
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
event_types.register(*EVENTS)
