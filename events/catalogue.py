"""Every event and every topic there is, under one name; importing this makes them known to the bridge."""

from events import activity, books, inventory, orders, payments
from events.activity import CartChanged, PageViewed, SearchMade
from events.base import FLOWS, PAYMENT_FIRST, RESERVE_FIRST, Line, OrderEvent
from events.books import BookUpdated
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
    "ACTIVITY",
    "ALL_EVENTS",
    "BOOKS",
    "EVENTS",
    "FLOWS",
    "INVENTORY",
    "ORDERS",
    "PAYMENTS",
    "PAYMENT_FIRST",
    "RESERVE_FIRST",
    "TOPICS",
    "BookUpdated",
    "CartChanged",
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
    "PageViewed",
    "PaymentActionRequired",
    "PaymentConfirmed",
    "PaymentFailed",
    "PaymentNotified",
    "PaymentRefunded",
    "PaymentUnknown",
    "SearchMade",
]

ORDERS, INVENTORY, PAYMENTS = orders.TOPIC, inventory.TOPIC, payments.TOPIC
TOPICS = (ORDERS, INVENTORY, PAYMENTS)
"""Those of the saga: every event in them is about an order, and its key is the order's id."""
BOOKS, ACTIVITY = books.TOPIC, activity.TOPIC

# The saga's, in the sequence in which a story meets them; tables and the schemas follow it.
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
ALL_EVENTS: tuple[type[Event], ...] = (*EVENTS, BookUpdated, PageViewed, SearchMade, CartChanged)
"""The saga's, and those that are about no order."""
event_types.register(*ALL_EVENTS)
