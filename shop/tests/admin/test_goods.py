"""Stock, books and categories."""

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from devtools.testing.shop.admin_desk import BOOKS, STOCK, confirmed, place, run, text_of, told
from devtools.testing.shop.storefront import a_book
from inventory.models import Stock
from shop.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


def test_units_arrive_with_a_reason(admin_client: Client, viewer: Client) -> None:
    scarce = a_book(stock=1, title="The Last Unit")
    assert f"{STOCK}receive/?sku={scarce.isbn}" in admin_client.get(f"{STOCK}{scarce.isbn}/change/").content.decode()
    typed = f"{scarce.isbn[:3]}-{scarce.isbn[3:]}"
    form = {"sku": typed, "units": "24", "reason": "second printing"}
    response = admin_client.post(f"{STOCK}receive/", form, follow=True)

    assert told(response) == [f"24 units of {scarce.isbn} received; 25 are free now."]
    assert Stock.objects.get(sku=scarce.isbn).received == 25
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (scarce.isbn, "Received 24 units: second printing")
    assert "The Last Unit" in text_of(response)
    assert viewer.get(f"{STOCK}receive/").status_code == 403
    assert viewer.post(f"{STOCK}receive/", form).status_code == 403
    assert "receive/" not in viewer.get(STOCK).content.decode()
    assert Stock.objects.get(sku=scarce.isbn).received == 25


@pytest.mark.parametrize(
    "wrong", [{"units": "0"}, {"units": "-3"}, {"units": "100001"}, {"sku": "9780000000002"}, {"reason": ""}]
)
def test_units_that_make_no_sense_do_not_arrive(book: Book, admin_client: Client, wrong: dict[str, str]) -> None:
    form = {"sku": book.isbn, "units": "5", "reason": "delivery", **wrong}
    assert "errors" in text_of(admin_client.post(f"{STOCK}receive/", form))
    assert Stock.objects.get().received == 50
    assert LogEntry.objects.count() == 0


def test_stock_is_listed_with_titles_and_narrowed_by_what_is_free(book: Book, admin_client: Client) -> None:
    few, none = a_book(stock=5, title="Few"), a_book(stock=1, title="None left")
    confirmed(none)
    place(few, quantity=2)
    run(without="payments")

    def listed(query: str = "") -> dict[str, tuple[int, int, int]]:
        rows = admin_client.get(STOCK + query).context["cl"].result_list
        return {row.title: (row.all_free, row.all_held, row.all_sold) for row in rows}

    assert listed() == {book.title: (50, 0, 0), "Few": (3, 2, 0), "None left": (0, 0, 1)}
    assert set(listed("?level=none")) == {"None left"}
    assert set(listed("?level=few")) == {"Few"}
    assert set(listed("?level=low")) == {"Few", "None left"}
    assert set(listed("?level=enough")) == {book.title}
    assert set(listed("?q=glasshouse")) == {book.title}
    assert set(listed(f"?q={few.isbn}")) == {"Few"}
    assert list(listed("?o=2")) == ["None left", "Few", book.title]


def test_stock_itself_cannot_be_edited(book: Book, admin_client: Client) -> None:
    assert admin_client.post(f"{STOCK}{book.isbn}/change/", {"received": "999"}).status_code == 403
    assert admin_client.post(f"{STOCK}{book.isbn}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{STOCK}add/").status_code == 403
    assert Stock.objects.get().received == 50


# -- Books and categories ---------------------------------------------------------------------------------------
def book_form(book: Book, **changes: str) -> dict[str, str]:
    """What the page of a book would send."""
    return {
        "title": book.title, "author": book.author, "category": str(book.category_id), "price": "12.50",
        "is_listed": "on", "year": str(book.year), "pages": str(book.pages), "weight_grams": "400", "blurb": book.blurb,
        "format": book.format, "language": book.language, **changes,
    }  # fmt: skip


def test_a_price_is_written_as_people_write_it(book: Book, admin_client: Client) -> None:
    page = f"{BOOKS}{book.pk}/change/"
    assert 'value="12.5' in admin_client.get(page).content.decode()
    assert admin_client.post(page, book_form(book, price="19.99", title="A New Title")).status_code == 302
    book.refresh_from_db()
    assert (book.price_minor, book.title) == (1999, "A New Title")
    assert "$19.99" in admin_client.get("/").content.decode()
    for wrong in ("0", "-1", "1.999", "", "1e9"):
        assert admin_client.post(page, book_form(book, price=wrong)).status_code == 200
    book.refresh_from_db()
    assert book.price_minor == 1999


def test_a_new_book_gets_its_isbn_once(book: Book, admin_client: Client) -> None:
    form = book_form(book, title="Another", isbn="9791234567896")
    assert admin_client.post(f"{BOOKS}add/", {**form, "isbn": "9791234567890"}).status_code == 200
    assert admin_client.post(f"{BOOKS}add/", form).status_code == 302
    new = Book.objects.get(title="Another")
    admin_client.post(f"{BOOKS}{new.pk}/change/", {**form, "isbn": book.isbn})
    new.refresh_from_db()
    assert (new.isbn, new.price_minor) == ("9791234567896", 1250)


def test_a_book_is_shown_with_its_stock(book: Book, admin_client: Client, viewer: Client) -> None:
    confirmed(book, quantity=2)
    (row,) = admin_client.get(BOOKS).context["cl"].result_list
    assert (row.all_free, row.all_held, row.all_sold) == (48, 0, 2)
    page = text_of(admin_client.get(f"{BOOKS}{book.pk}/change/"))
    for words in ("<strong>48</strong> free", "<strong>2</strong> sold", "<strong>$25.00</strong> revenue"):
        assert words in page
    looked_at = text_of(viewer.get(f"{BOOKS}{book.pk}/change/"))
    assert "$12.50" in looked_at
    assert viewer.post(f"{BOOKS}{book.pk}/change/", book_form(book, price="1.00")).status_code == 403


def test_only_a_book_that_nobody_ever_saw_can_be_deleted(book: Book, admin_client: Client) -> None:
    mistake = a_book(stock=0)
    assert admin_client.post(f"{BOOKS}{book.pk}/delete/", {"post": "yes"}).status_code == 403
    ordered = a_book(stock=0)
    place(ordered)
    assert admin_client.post(f"{BOOKS}{ordered.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{BOOKS}{mistake.pk}/delete/", {"post": "yes"}).status_code == 302
    assert set(Book.objects.values_list("pk", flat=True)) == {book.pk, ordered.pk}


def test_books_are_taken_off_sale_in_the_list(book: Book, admin_client: Client) -> None:
    form = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(book.pk), "_save": "Save"}
    assert admin_client.post(BOOKS, form).status_code == 302
    book.refresh_from_db()
    assert (book.is_listed, book.price_minor) == (False, 1250)
    assert book.title not in admin_client.get("/").content.decode()


def test_books_are_found_without_their_accents(admin_client: Client) -> None:
    book = a_book(title="Élan vital", author="Inés Calloway")
    a_book(title="Other")
    for words in ("elan ines", "ÉLAN", book.isbn, f"{book.isbn[:3]}-{book.isbn[3:]}"):
        assert [found.pk for found in admin_client.get(BOOKS, {"q": words}).context["cl"].result_list] == [book.pk]
