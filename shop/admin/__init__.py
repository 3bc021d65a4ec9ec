"""The admin pages that combine several apps, and those of the shop's own tables.

Each app shows its own facts in its own `admin.py`. What needs several apps (an order with its payment and its timeline,
stock with titles, the start page) is here.
"""

from uuid import UUID

from events import catalogue
from kafka_bridge import admin as facts
from kafka_bridge.dead_letters import redrive_preview, rights
from orders.models import Order
from shop.admin.operations import activity_log_admin, alerts, audits, silences
from shop.admin.orders import mails, order_admin, returns
from shop.admin.payments import charges, reviews
from shop.admin.prices import coupons, rates
from shop.admin.sales import books, flash_sales, sales_figures
from shop.admin.site import shop_pages, users
from shop.admin.stock import stock_admin, waitlist

__all__ = [
    "activity_log_admin",
    "alerts",
    "audits",
    "books",
    "charges",
    "coupons",
    "flash_sales",
    "mails",
    "order_admin",
    "rates",
    "returns",
    "reviews",
    "sales_figures",
    "shop_pages",
    "silences",
    "stock_admin",
    "users",
    "waitlist",
]

# Every event of these topics is about an order, and its key is the order's id.
facts.subject_pages |= {topic.name: "admin:orders_order_change" for topic in catalogue.TOPICS}

# What payments hears, what it says, and what ends or shortens an order moves money.
MONEY = "payments.add_refund"
rights.by_group["payments"] = MONEY
rights.by_type |= {event.TYPE: MONEY for event in catalogue.EVENTS if event.TOPIC == catalogue.PAYMENTS}
rights.by_type |= {
    event.TYPE: MONEY for event in (catalogue.OrderCancelled, catalogue.OrderReduced, catalogue.OrderReturned)
}


def _order_now(key: str) -> str:
    """The order's status, for staff who decide about one of its events; "" if the key is no order id."""
    try:
        order = Order.objects.filter(pk=UUID(key)).first()
    except ValueError:
        return ""
    if order is None:
        return "there is no such order"
    why = f", {order.cancel_reason}" if order.cancel_reason else ""
    return f"order {order.reference} is {order.get_status_display()}{why}"


redrive_preview.subject_words |= {topic.name: _order_now for topic in catalogue.TOPICS}
