"""The shop's first stock: books, shelves and demo accounts. Running it again changes nothing."""

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from inventory import services as inventory_services
from shop import pricing
from shop.models import Book, Category

BOOKS_FILE = Path(__file__).parent / "books.toml"


@dataclass(kw_only=True)
class Report:
    """What a run did; a second run counts nothing new."""

    categories: int = 0
    books: int = 0
    units: int = 0
    users: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@transaction.atomic
def seed() -> Report:
    """Bring in the shelves, books and units that are not there yet.

    A book that exists is left alone, with the price and stock that somebody gave it; units arrive only
    together with their book.
    """
    data = tomllib.loads(BOOKS_FILE.read_text(encoding="utf-8"))
    report = Report()
    shelves = {}
    for position, entry in enumerate(data["categories"]):
        shelf, is_new = Category.objects.get_or_create(
            slug=entry["slug"], defaults={"name": entry["name"], "tagline": entry["tagline"], "position": position}
        )
        shelves[shelf.slug] = shelf
        report.categories += is_new
    arrived: dict[str, int] = {}
    for entry in data["books"]:
        _, is_new = Book.objects.get_or_create(
            isbn=entry["isbn"],
            defaults={
                "title": entry["title"],
                "author": entry["author"],
                "category": shelves[entry["category"]],
                "price_minor": entry["price_minor"],
                "year": entry["year"],
                "pages": entry["pages"],
                "blurb": " ".join(entry["blurb"].split()),
            },
        )
        report.books += is_new
        if is_new and entry["stock"]:
            arrived[entry["isbn"]] = entry["stock"]
    if arrived:
        inventory_services.receive(quantities=arrived, reason="first stock")
    report.units = sum(arrived.values())
    transaction.on_commit(pricing.forget)
    return report


@transaction.atomic
def seed_demo_users() -> list[str]:
    """Make the demo's accounts, name and password alike: `admin` for staff, `reader` for a buyer. For demos only.

    Returns the names of those that were not there before.
    """
    made = []
    if not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", "admin@bookrush.example", "admin")
        made.append("admin")
    if not User.objects.filter(username="reader").exists():
        User.objects.create_user("reader", "reader@bookrush.example", "reader", first_name="Robin", last_name="Reader")
        made.append("reader")
    return made
