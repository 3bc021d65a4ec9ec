"""Seed data: books, shelves and demo accounts. Running it again changes nothing."""

import tomllib
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from inventory import stock_adjustments
from shop.books import pricing, updates
from shop.flashsales import flash_sales
from shop.models import Book, Category, FlashSale

BOOKS_FILE = Path(__file__).parent / "books.toml"
SALE_ISBN = "9795511167809"  # The Cartographer of Small Moons, of which there is plenty
SALE_UNITS = 25
SALE_LIMIT = 2
SALE_STARTS_AFTER = timedelta(minutes=3)
SALE_LASTS = timedelta(days=7)
_DETAILS = ("series", "series_number", "publisher", "format", "language")
"""What an entry may say beside what each does."""
_WRAPPED_GRAMS = 80
"""What a book weighs besides its pages, of which one is a gram or so."""


@dataclass(kw_only=True)
class SeedReport:
    """What was added; nothing in a second run."""

    categories: int = 0
    books: int = 0
    units: int = 0
    sales: int = 0
    users: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@transaction.atomic
def seed() -> SeedReport:
    """Add missing shelves, books and units.

    Existing books keep their price and stock; units are added only together with their book.
    """
    data = tomllib.loads(BOOKS_FILE.read_text(encoding="utf-8"))
    report, is_open = SeedReport(), Book.objects.exists()
    shelves = {}
    for position, entry in enumerate(data["categories"]):
        shelf, is_new = Category.objects.get_or_create(
            slug=entry["slug"], defaults={"name": entry["name"], "tagline": entry["tagline"], "position": position}
        )
        shelves[shelf.slug] = shelf
        report.categories += is_new
    arrived: dict[str, int] = {}
    for entry in data["books"]:
        book, is_new = Book.objects.get_or_create(
            isbn=entry["isbn"],
            defaults={
                "title": entry["title"],
                "author": entry["author"],
                "category": shelves[entry["category"]],
                "price_minor": entry["price_minor"],
                "year": entry["year"],
                "pages": entry["pages"],
                "weight_grams": _WRAPPED_GRAMS + entry["pages"],
                "blurb": " ".join(entry["blurb"].split()),
                **{name: entry[name] for name in _DETAILS if name in entry},
            },
        )
        report.books += is_new
        if is_new and is_open:  # what a shop opens with is new to nobody
            updates.state(None, book)
        if is_new and entry["stock"]:
            arrived[entry["isbn"]] = entry["stock"]
    if arrived:
        stock_adjustments.receive(quantities=arrived, reason="first stock")
    report.units = sum(arrived.values())
    transaction.on_commit(pricing.forget)
    return report


@transaction.atomic
def announce_sale() -> int:
    """Create a flash sale that starts soon and lasts for days, unless there ever was a sale.

    Returns how many were created. Not part of `seed`, because it makes one book scarce.
    """
    if FlashSale.objects.exists():
        return 0
    book = Book.objects.get(isbn=SALE_ISBN)
    starts_at = timezone.now() + SALE_STARTS_AFTER
    sale = FlashSale.objects.create(
        name="Opening rush", starts_at=starts_at, ends_at=starts_at + SALE_LASTS, customer_limit=SALE_LIMIT
    )
    sale.books.create(book=book, price_minor=book.price_minor // 2, units=SALE_UNITS)
    flash_sales.set_aside(sale, by="seed")
    transaction.on_commit(pricing.forget)
    return 1


@transaction.atomic
def seed_demo_users() -> list[str]:
    """Create the demo accounts, with passwords equal to their names: `admin` (staff) and `reader`. For demos only.

    Returns the names of the new accounts.
    """
    made = []
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", "admin@bookrush.example", "admin")
        made.append("admin")
    if not User.objects.filter(username="reader").exists():
        User.objects.create_user("reader", "reader@bookrush.example", "reader", first_name="Robin", last_name="Reader")
        made.append("reader")
    return made
