"""Flash sales for tests."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from shop.books import pricing
from shop.flashsales import flash_sales
from shop.models import Book, FlashSale

HOUR = timedelta(hours=1)


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
