"""The books and the flash sale of a simulation; they exist only while it runs."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from inventory import stock_adjustments
from inventory.models import pool_name
from shop.books import isbn, pricing
from shop.flashsales import flash_sales
from shop.models import Book, Category, FlashSale, FlashSaleBook
from shop.simulation.buyers import SalePlan
from shop.waiting_room import rooms
from shop.waiting_room.tables import WaitingMode

BY = "simulation"
PRICE_MINOR = 2400
SALE_PRICE_MINOR = 900
# Longer than any simulation. It ends the sale itself; if it is killed, the sale ends by then.
_OPEN_FOR = timedelta(hours=2)


class EmptyShop(Exception):
    """The shop has no shelf to put a book on: run `manage.py prepare` first."""


@dataclass(frozen=True)
class SaleFixture:
    """The sale and its books."""

    sale: FlashSale
    books: list[Book]

    @property
    def skus(self) -> list[str]:
        """The skus of its books."""
        return [book.isbn for book in self.books]

    @property
    def pools(self) -> list[str]:
        """The stock pools of the sale, book by book."""
        return [pool_name(sku, self.sale.pk) for sku in self.skus]


@contextmanager
def opened(plan: SalePlan) -> Iterator[SaleFixture]:
    """Books, received and set aside for a sale that runs; afterwards they are off the shelf and the sale is over.

    Raises:
        EmptyShop: see there.
    """
    with transaction.atomic(durable=True):
        fixture = _open(plan)
    pricing.forget()
    try:
        yield fixture
    finally:
        with transaction.atomic(durable=True):
            Book.objects.filter(pk__in=[book.pk for book in fixture.books]).update(is_listed=False)
            flash_sales.end_now(fixture.sale, by=BY)
        pricing.forget()


def _open(plan: SalePlan) -> SaleFixture:
    category = Category.objects.order_by("position").first()
    if category is None:
        raise EmptyShop("The shop has no shelves yet: run `manage.py prepare` (or `make demo`) first.")
    books = [
        Book.objects.create(
            isbn=_fresh_isbn(),
            title=f"Simulated bestseller {number}",
            author="Nobody in Particular",
            category=category,
            price_minor=PRICE_MINOR,
            year=timezone.now().year,
            pages=320,
            blurb="Part of a simulated sale; it leaves the shelf when the simulation ends.",
        )
        for number in range(1, plan.books + 1)
    ]
    stock_adjustments.receive(
        quantities={book.isbn: plan.units for book in books}, reason="for a simulated sale", by=BY
    )
    now = timezone.now()
    sale = FlashSale.objects.create(
        name=f"Simulation of {now:%Y-%m-%d %H:%M:%S}",
        starts_at=now + timedelta(seconds=plan.starts_in_seconds),
        ends_at=now + _OPEN_FOR,
        customer_limit=plan.customer_limit,
        waiting_room=WaitingMode.ON if plan.queue else WaitingMode.OFF,
        waiting_pass_seconds=plan.pass_seconds,
    )
    rooms.open_room(sale)
    FlashSaleBook.objects.bulk_create(
        FlashSaleBook(sale=sale, book=book, price_minor=SALE_PRICE_MINOR, units=plan.units) for book in books
    )
    flash_sales.set_aside(sale, by=BY)
    return SaleFixture(sale, books)


def _fresh_isbn() -> str:
    """Nobody's: 979-0 is kept for printed music, so that no book ever gets such a number."""
    digits = f"9790{random.randrange(10**8):08}"  # noqa: S311 - only to be another one each time
    return digits + isbn.check_digit(digits)
