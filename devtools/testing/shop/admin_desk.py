"""Placing orders, and working at the admin as staff do."""

import uuid
from html import unescape
from typing import Any

from django.test import Client

from devtools.testing.shop.orders import draft
from kafka_bridge import testing
from orders.models import Order
from orders.placing import placement
from shop.models import Book

ORDERS, STOCK, BOOKS = "/admin/orders/order/", "/admin/inventory/stock/", "/admin/shop/book/"
ALL_GROUPS = {"analytics", "inventory", "notifications", "orders", "payments", "shipping"}


def place(book: Book, *, card: str = "pm_success", quantity: int = 1, **changes: Any) -> uuid.UUID:
    """An order for this book; returns its id."""
    line = placement.DraftLine(sku=book.isbn, title=book.title, unit_price_minor=book.price_minor, quantity=quantity)
    return placement.place(draft(lines=(line,), payment_method=card, **changes)).order_id


def run(*, without: str = "") -> None:
    """Let the saga run to where it rests, with all groups or with all but one."""
    testing.MemoryBroker(groups=ALL_GROUPS - {without}).drain()


def confirmed(book: Book, **changes: Any) -> Order:
    """An order that is paid, held and packed."""
    order_id = place(book, **changes)
    run()
    return Order.objects.get(pk=order_id)


def text_of(response: Any) -> str:
    """The page as people read it, roughly: entities resolved, white space collapsed."""
    assert response.status_code == 200
    return " ".join(unescape(response.content.decode()).split())


def told(response: Any) -> list[str]:
    """What the messages on the page say."""
    return [str(message) for message in response.context["messages"]]


def act(client: Client, name: str, *order_ids: uuid.UUID, **fields: str) -> Any:
    """Confirm that it is to be done to these orders."""
    data = {"order": [str(order_id) for order_id in order_ids], **fields}
    return client.post(f"{ORDERS}act/{name}/", data, follow=True)


def select(client: Client, action: str, *order_ids: uuid.UUID) -> Any:
    """Choose these orders in the list, and an action."""
    data = {"action": action, "_selected_action": [str(order_id) for order_id in order_ids]}
    return client.post(ORDERS, data, follow=True)


def shown(client: Client, query: dict[str, str]) -> set[uuid.UUID]:
    """The orders that the list shows."""
    response = client.get(ORDERS, query)
    assert response.status_code == 200
    return {order.pk for order in response.context["cl"].result_list}
