"""Flash sales for tests, and the form with which the admin saves one."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from shop.books import pricing
from shop.flashsales import flash_sales
from shop.models import Book, FlashSale

HOUR = timedelta(hours=1)
SaleRow = tuple[Book, str, int]
"""A book, its price as it is typed, and units."""


def a_sale(*books: Book, starts_in: timedelta = -HOUR, lasts: timedelta = 2 * HOUR, **fields: Any) -> FlashSale:
    """A sale of these books with their units set aside; by default it is running.

    `price_minor` (500) and `units` (5) are those of each book, anything else belongs to the sale.
    """
    price_minor, units = fields.pop("price_minor", 500), fields.pop("units", 5)
    starts_at: datetime = timezone.now() + starts_in
    with transaction.atomic():
        sale = FlashSale.objects.create(
            **{"name": "Rush", "starts_at": starts_at, "ends_at": starts_at + lasts, **fields}
        )
        for book in books:
            sale.books.create(book=book, price_minor=price_minor, units=units)
        flash_sales.set_aside(sale, by="test")
    pricing.forget()
    return sale


def move(sale: FlashSale, *, starts_in: timedelta, lasts: timedelta = 2 * HOUR) -> None:
    """Let time pass for this sale: it starts so long from now."""
    sale.starts_at = timezone.now() + starts_in
    sale.ends_at = sale.starts_at + lasts
    sale.save()
    with transaction.atomic():
        flash_sales.set_aside(sale, by="test")
    pricing.forget()


def admin_form(
    *rows: SaleRow, sale: FlashSale | None = None, leaving: tuple[int, ...] = (), **changes: Any
) -> dict[str, str]:
    """What the page of a sale would send; the first rows are those that the sale has already."""
    starts_at = sale.starts_at if sale else timezone.now() + HOUR
    there = list(sale.books.order_by("pk")) if sale else []
    data = {
        "name": sale.name if sale else "Rush",
        **date_and_time("starts_at", starts_at),
        **date_and_time("ends_at", sale.ends_at if sale else starts_at + 2 * HOUR),
        "customer_limit": "2",
        "hold_seconds": "60",
        "waiting_room": sale.waiting_room if sale else "off",
        "waiting_pass_seconds": "180",
        "books-TOTAL_FORMS": str(len(rows)),
        "books-INITIAL_FORMS": str(len(there)),
    }
    for number, (book, price, units) in enumerate(rows):
        data |= {
            f"books-{number}-book": str(book.pk),
            f"books-{number}-price": price,
            f"books-{number}-units": str(units),
        }
        if number < len(there):
            data |= {f"books-{number}-id": str(there[number].pk), f"books-{number}-sale": str(there[number].sale_id)}
        if number in leaving:
            data[f"books-{number}-DELETE"] = "on"
    return data | changes


def date_and_time(name: str, at: datetime) -> dict[str, Any]:
    """A time in the two fields in which it is typed."""
    local = timezone.localtime(at)
    return {f"{name}_0": f"{local:%Y-%m-%d}", f"{name}_1": f"{local:%H:%M:%S}"}
