"""The first stock."""

import json
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.db import transaction

from inventory import queries as inventory_queries
from inventory import stock_adjustments
from inventory.models import pool_name
from shop.books import isbn
from shop.books import seed as seeding
from shop.flashsales import flash_sales
from shop.models import Book, Category, FlashSale

pytestmark = pytest.mark.django_db


def seed(*options: str) -> dict[str, object]:
    """Run the command; what it says it did."""
    out = StringIO()
    call_command("seed_shop", "--json", *options, stdout=out)
    answer: dict[str, object] = json.loads(out.getvalue())
    return answer


def test_an_empty_shop_gets_its_books() -> None:
    report = seed()
    books = list(Book.objects.all())
    free = inventory_queries.free_by_pool(book.isbn for book in books)
    assert report == {
        "categories": Category.objects.count(),
        "books": len(books),
        "units": sum(free.values()) + seeding.SALE_UNITS,
        "sales": 1,
        "users": [],
    }
    assert len(books) >= 48
    assert [book.isbn for book in books if not isbn.is_valid(book.isbn)] == []
    assert sorted(free.values()).count(1) == 1
    assert len(books) - len(free) == 1  # one is sold out
    assert min(Category.objects.get(slug=shelf.slug).books.count() for shelf in Category.objects.all()) >= 4
    assert not any(len(book.blurb) < 40 for book in books)


def test_a_sale_is_announced_and_its_units_are_set_aside() -> None:
    seed()
    sale = FlashSale.objects.get()
    (row,) = sale.books.select_related("book")
    assert flash_sales.phase_of(sale) == "upcoming"
    assert (sale.name, sale.customer_limit, sale.ends_at - sale.starts_at) == ("Opening rush", 2, seeding.SALE_LASTS)
    assert (row.book.isbn, row.units, row.price_minor) == (seeding.SALE_ISBN, 25, row.book.price_minor // 2)
    pools = [seeding.SALE_ISBN, pool_name(seeding.SALE_ISBN, sale.pk)]
    assert inventory_queries.free_by_pool(pools) == {pools[0]: 47, pools[1]: 25}


def test_a_shop_that_has_books_gets_no_sale() -> None:
    seeding.seed()
    Book.objects.filter(title="Broth").delete()
    report = seed()
    assert (report["books"], report["sales"], FlashSale.objects.count()) == (1, 0, 0)


def test_seeding_again_changes_nothing() -> None:
    seed()
    book = Book.objects.get(title="Broth")
    book.price_minor, book.title = 1, "Soup"
    book.save()
    with transaction.atomic():
        stock_adjustments.receive(quantities={book.isbn: 7}, reason="test")
    before = inventory_queries.free_by_pool(Book.objects.values_list("isbn", flat=True))

    assert seed() == {"categories": 0, "books": 0, "units": 0, "sales": 0, "users": []}
    book.refresh_from_db()
    assert (book.price_minor, book.title) == (1, "Soup")
    assert inventory_queries.free_by_pool(before) == before


def test_demo_accounts_only_when_asked_and_only_once() -> None:
    assert authenticate(username="admin", password="admin") is None
    assert seed("--demo-users")["users"] == ["admin", "reader"]
    accounts = [authenticate(username=name, password=name) for name in ("admin", "reader")]
    assert [(account.is_staff, account.is_superuser) for account in accounts if account] == [
        (True, True),
        (False, False),
    ]

    accounts[0].set_password("changed")  # type: ignore[union-attr]
    accounts[0].save()  # type: ignore[union-attr]
    assert seed("--demo-users")["users"] == []
    assert authenticate(username="admin", password="changed") == accounts[0]
