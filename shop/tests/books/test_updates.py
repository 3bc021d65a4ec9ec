"""B1: what changes about a book in the admin is stated, once, with the change; and analytics notes what it costs."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from devtools.testing.shop.storefront import a_book
from events.catalogue import BookUpdated
from kafka_bridge import testing
from shop.books import seed, updates
from shop.models import Book, BookPrice

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.window]
LIST = "/admin/shop/book/"


def save(client: Client, book: Book, **changes: Any) -> None:
    """Save the book's form in the admin with these fields changed."""
    page = f"{LIST}{book.pk}/change/"
    form = client.get(page).context["adminform"].form
    fields = {name: form[name].value() for name in form.fields} | changes
    response = client.post(page, {name: value for name, value in fields.items() if value not in (None, False)})
    assert response.status_code == 302, response.context["errors"]


def updated(book: Book, **fields: Any) -> BookUpdated:
    """What is stated about the book, but for these fields."""
    known: dict[str, Any] = {
        "sku": book.isbn, "title": book.title, "author": book.author, "price_minor": book.price_minor,
        "currency": "USD", "is_listed": book.is_listed,
    }  # fmt: skip
    return BookUpdated(**(known | fields))


def test_a_new_price_is_stated_and_nothing_else_is(admin_client: Client) -> None:
    book = a_book(price_minor=1250)
    save(admin_client, book)
    assert testing.stated() == []
    save(admin_client, book, price="13.50")
    assert testing.stated() == [updated(book, price_minor=1350, was_price_minor=1250, changed=("price_minor",))]


def test_words_and_availability_are_stated_too(admin_client: Client) -> None:
    book = a_book(price_minor=1250)
    save(admin_client, book, title="Other Words", is_listed=False)
    assert testing.stated() == [updated(book, title="Other Words", is_listed=False, changed=("is_listed", "title"))]


def test_taking_a_book_off_sale_in_the_list_is_stated(admin_client: Client) -> None:
    book = a_book()
    form = admin_client.get(LIST).context["cl"].formset
    data = {f"{form.prefix}-{name}": value for name, value in form.management_form.initial.items()}
    data |= {f"{form.prefix}-0-{form.model._meta.pk.name}": str(book.pk), "_save": "Save"}
    admin_client.post(LIST, data)
    assert [(event.sku, event.is_listed) for event in testing.stated(BookUpdated)] == [(book.isbn, False)]  # type: ignore[attr-defined]


def test_a_book_that_is_deleted_is_for_sale_no_more(admin_client: Client) -> None:
    book, hidden = a_book(stock=0), a_book(stock=0, is_listed=False)
    for each in (book, hidden):
        assert admin_client.post(f"{LIST}{each.pk}/delete/", {"post": "yes"}).status_code == 302
    assert testing.stated() == [updated(book, is_listed=False, changed=("is_listed",))]


def test_what_a_shop_opens_with_is_not_stated_and_what_comes_later_is() -> None:
    seed.seed()
    assert testing.stated() == []
    book = Book.objects.get(isbn=seed.SALE_ISBN)
    Book.objects.filter(pk=book.pk).delete()
    seed.seed()
    [event] = testing.stated(BookUpdated)
    assert (event.key, event.was_price_minor) == (book.isbn, None)  # type: ignore[attr-defined]


WRITES_BOOKS = {
    "shop/books/seed/__init__.py": "states it",
    "shop/books/importing/importer.py": "states it",
    "shop/books/search/in_stock.py": "whether there are copies, which is inventory's to say",
    "shop/simulation/sale_fixture.py": "books to measure with",
    "devtools/big_catalogue.py": "books to measure with",
}
"""Where books are written but for the admin, whose form saves them; docs/decisions.md has the reasons."""


def test_every_place_that_writes_books_is_known() -> None:
    writes = re.compile(
        r"\bBook\.objects\.(?:\w+\([^\n]*\)\.)*(?:\w*create|bulk_\w+|update\w*|delete)\(|(?:INTO|UPDATE) shop_book\b"
    )
    rooms = ("shop", "orders", "inventory", "payments", "devtools", "examples")
    files = [path for room in rooms for path in (settings.BASE_DIR / room).rglob("*.py")]
    names = {path.relative_to(settings.BASE_DIR).as_posix() for path in files if writes.search(path.read_text())}
    found = {name for name in names if not re.search("/(tests|testing|migrations)/", name)}
    assert found == set(WRITES_BOOKS)


def test_nothing_is_stated_without_a_transaction() -> None:
    book = a_book()
    with pytest.raises(Exception, match="transaction"):
        updates.state(None, book)


def test_analytics_notes_the_price_and_the_one_before_whatever_comes_twice() -> None:
    book = a_book(price_minor=1250)
    first = updated(book, price_minor=1350, was_price_minor=1250, changed=("price_minor",))
    second = updated(book, price_minor=1350, title="Other Words", changed=("title",))
    for _ in range(2):
        testing.give("analytics", first, second)
    assert list(BookPrice.objects.values_list("sku", "title", "price_minor", "was_price_minor", "changes")) == [
        (book.isbn, "Other Words", 1350, 1250, 2)
    ]


def test_the_admin_shows_what_changed(admin_client: Client) -> None:
    book = a_book()
    testing.give("analytics", updated(book, price_minor=1350, was_price_minor=1250, changed=("price_minor",)))
    page = admin_client.get("/admin/shop/bookprice/").content.decode()
    assert "$13.50" in page and "$12.50" in page and book.isbn in page
