"""The shop's own pages in the admin: those that cross apps, and those of the shop's tables.

Each app shows its own facts in its own `admin.py`; what needs several of them (an order with its money and its trail,
stock with titles, the start page) is here.
"""

from kafka_bridge import admin as facts
from kafka_bridge import catalogue
from shop.admin import audits, books, charges, flash_sales, log, orders, people, returns, reviews, sales, stock

__all__ = [
    "audits",
    "books",
    "charges",
    "flash_sales",
    "log",
    "orders",
    "people",
    "returns",
    "reviews",
    "sales",
    "stock",
]

# Every event of these topics is about an order, and its key is the order's id.
facts.subject_pages |= {topic.name: "admin:orders_order_change" for topic in catalogue.TOPICS}
