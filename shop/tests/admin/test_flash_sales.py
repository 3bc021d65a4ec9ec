"""Making flash sales in the admin: each rule, and the message when it is broken."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devtools.testing.shop.admin_desk import text_of, told
from devtools.testing.shop.flash_sales import HOUR, SaleRow, a_sale, admin_form, date_and_time
from devtools.testing.shop.storefront import a_book
from inventory import stock_adjustments
from inventory.models import Movement, Stock, pool_name
from inventory.reservations import holds
from orders.models import new_id
from shop.flashsales import flash_sales
from shop.models import Book, FlashSale

pytestmark = pytest.mark.django_db(transaction=True)
SALES = "/admin/shop/flashsale/"


def page(sale: FlashSale, name: str = "change") -> str:
    return f"{SALES}{sale.pk}/{name}/"


def counts(book: Book, sale: FlashSale | None = None) -> tuple[int, int, int]:
    """Received, held and sold of the ordinary pool, or of the sale's."""
    stock = Stock.objects.get(bin=pool_name(book.isbn, sale.pk if sale else None))
    return stock.received, stock.held, stock.sold


def hold(book: Book, sale: FlashSale, units: int = 1) -> None:
    """Hold units of the sale for an order."""
    request = holds.ReservationRequest(order_id=new_id(), units={pool_name(book.isbn, sale.pk): units}, customer="c")
    with transaction.atomic():
        (outcome,) = holds.hold(requests=[request]).values()
    assert outcome.held


def errors(response: Any) -> dict[str, list[str]]:
    """What the page says is wrong: of the sale by field, of a book as "0.field", of all of them as "books"."""
    assert response.status_code == 200, response.headers
    found = {name: [str(e) for e in es] for name, es in response.context["adminform"].form.errors.items()}
    formset = response.context["inline_admin_formsets"][0].formset
    for number, row in enumerate(formset.forms):
        found |= {f"{number}.{name}": [str(error) for error in row_errors] for name, row_errors in row.errors.items()}
    if formset.non_form_errors():
        found["books"] = [str(error) for error in formset.non_form_errors()]
    return found


# -- Making and changing ------------------------------------------------------------------------------------------
def test_a_sale_is_made_and_its_units_are_set_aside(admin_client: Client) -> None:
    book, other = a_book(stock=50), a_book(stock=8)
    response = admin_client.post(f"{SALES}add/", admin_form((book, "4.99", 20), (other, "0.50", 8)))
    assert response.status_code == 302, errors(response)

    sale = FlashSale.objects.get()
    assert (sale.name, sale.customer_limit, sale.hold_seconds) == ("Rush", 2, 60)
    assert list(sale.books.values_list("book_id", "price_minor", "units")) == [(book.pk, 499, 20), (other.pk, 50, 8)]
    assert (counts(book), counts(book, sale)) == ((30, 0, 0), (20, 0, 0))
    assert (counts(other), counts(other, sale)) == ((0, 0, 0), (8, 0, 0))
    stock = Stock.objects.get(bin=pool_name(book.isbn, sale.pk))
    assert (stock.sale_id, stock.customer_limit, stock.hold_seconds) == (sale.pk, 2, 60)
    assert stock.closes_at == flash_sales.closes_at(sale) > sale.ends_at
    moved = Movement.objects.filter(kind=Movement.Kind.SET_ASIDE, sku=book.isbn)
    assert list(moved.order_by("id").values_list("bin", "received", "by", "reason")) == [
        (book.isbn, -20, "admin", "sale “Rush”"),
        (pool_name(book.isbn, sale.pk), 20, "admin", "sale “Rush”"),
    ]
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag, entry.user.username) == (str(sale.pk), ADDITION, "admin")


def test_a_changed_sale_sets_its_units_aside_anew(admin_client: Client) -> None:
    book, other, third = a_book(stock=50), a_book(stock=50), a_book(stock=50)
    sale = a_sale(book, other, starts_in=HOUR, units=20)
    rows: tuple[SaleRow, ...] = ((book, "3.00", 35), (other, "5.00", 20), (third, "1.00", 1))
    response = admin_client.post(
        page(sale), admin_form(*rows, sale=sale, leaving=(1,), customer_limit="", hold_seconds="")
    )
    assert response.status_code == 302, errors(response)

    sale.refresh_from_db()
    assert (sale.customer_limit, sale.hold_seconds) == (None, None)
    assert list(sale.books.values_list("book_id", "price_minor", "units")) == [(book.pk, 300, 35), (third.pk, 100, 1)]
    assert [counts(one) for one in (book, other, third)] == [(15, 0, 0), (50, 0, 0), (49, 0, 0)]
    assert [counts(one, sale) for one in (book, other, third)] == [(35, 0, 0), (0, 0, 0), (1, 0, 0)]
    back = Movement.objects.filter(bin=pool_name(other.isbn, sale.pk)).latest("id")
    assert (back.received, back.by, back.reason) == (-20, "admin", "removed from the sale “Rush”")
    assert LogEntry.objects.get().action_flag == CHANGE


def test_units_that_are_not_there_are_an_error_at_their_row(admin_client: Client) -> None:
    book, scarce, absent = a_book(stock=50), a_book(stock=40), a_book(stock=0)
    response = admin_client.post(
        f"{SALES}add/", admin_form((book, "5.00", 50), (scarce, "5.00", 60), (absent, "5.00", 1))
    )
    assert errors(response) == {
        "1.units": [f"Only 40 more units of {scarce.isbn} are free to be set aside; that would take 60."],
        "2.units": [f"Only 0 more units of {absent.isbn} are free to be set aside; that would take 1."],
    }
    assert (FlashSale.objects.count(), counts(book), counts(scarce)) == (0, (50, 0, 0), (40, 0, 0))
    assert not Stock.objects.filter(sale_id__isnull=False).exists()
    assert not Movement.objects.filter(kind=Movement.Kind.SET_ASIDE).exists()


def test_more_units_than_are_free_are_refused_to_a_sale_that_has_some(admin_client: Client) -> None:
    book = a_book(stock=50)
    sale = a_sale(book, starts_in=HOUR, units=20)
    response = admin_client.post(page(sale), admin_form((book, "5.00", 51), sale=sale))
    assert errors(response) == {
        "0.units": [f"Only 30 more units of {book.isbn} are free to be set aside; that would take 31."]
    }
    assert (counts(book), counts(book, sale)) == ((30, 0, 0), (20, 0, 0))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"books-0-price": "0"}, {"0.price": ["Ensure this value is greater than or equal to 0.01."]}),
        ({"books-0-price": "1.999"}, {"0.price": ["Ensure that there are no more than 2 decimal places."]}),
        ({"books-0-price": "12.50"}, {"0.price": ["Not below the usual price of $12.50."]}),
        ({"books-0-units": "0"}, {"0.units": ["Ensure this value is greater than or equal to 1."]}),
        ({"books-0-book": ""}, {"0.book": ["This field is required."]}),
        ({"books-TOTAL_FORMS": "0"}, {"books": ["A sale needs at least one book."]}),
        ({"name": ""}, {"name": ["This field is required."]}),
        ({"customer_limit": "0"}, {"customer_limit": ["Ensure this value is greater than or equal to 1."]}),
        ({"hold_seconds": "9"}, {"hold_seconds": ["Ensure this value is greater than or equal to 10."]}),
        ({"starts_at_0": "", "starts_at_1": ""}, {"starts_at": ["This field is required."]}),
        ({"ends_at_0": "2020-01-01"}, {"ends_at": ["The end must be after the start."]}),
        (
            {"starts_at_0": "2019-01-01", "ends_at_0": "2020-01-01"},
            {"ends_at": ["The end must be in the future. To end a sale at once, use End now."]},
        ),
    ],
)
def test_what_makes_no_sense_is_named(
    admin_client: Client, changes: dict[str, Any], wrong: dict[str, list[str]]
) -> None:
    book = a_book(stock=50)
    assert errors(admin_client.post(f"{SALES}add/", admin_form((book, "5.00", 5), **changes))) == wrong
    assert (FlashSale.objects.count(), counts(book)) == (0, (50, 0, 0))


def test_a_book_is_in_one_sale_at_a_time(admin_client: Client) -> None:
    book, other = a_book(stock=50), a_book(stock=50)
    first = a_sale(book, starts_in=HOUR, name="First")
    overlapping: dict[str, Any] = admin_form((book, "5.00", 5), (other, "5.00", 5))
    response = admin_client.post(f"{SALES}add/", overlapping)
    assert errors(response) == {"0.book": ["This book is in the sale “First” at that time."]}
    after = {
        **overlapping,
        **date_and_time("starts_at", first.ends_at + HOUR),
        **date_and_time("ends_at", first.ends_at + 2 * HOUR),
    }
    assert admin_client.post(f"{SALES}add/", after).status_code == 302
    # A sale is not in its own way, and it cannot grow into the other one.
    rows: SaleRow = (book, "5.00", 5)
    assert admin_client.post(page(first), admin_form(rows, sale=first)).status_code == 302
    longer = admin_form(rows, sale=first, **date_and_time("ends_at", first.ends_at + 90 * timedelta(minutes=1)))
    assert errors(admin_client.post(page(first), longer)) == {
        "0.book": ["This book is in the sale “Rush” at that time."]
    }
    twice = admin_form(
        (other, "5.00", 5), (other, "4.00", 5), **date_and_time("ends_at", timezone.now() + 65 * HOUR / 60)
    )
    assert list(errors(admin_client.post(f"{SALES}add/", twice))) == ["1.__all__", "books"]


def test_two_people_cannot_set_the_same_units_aside(admin_client: Client) -> None:
    """Neither is one book in two sales at a time, nor does the second of two people find a page that broke."""
    book = a_book(stock=50)
    at_the_same_time = [admin_form((book, "5.00", 10)), admin_form((book, "4.00", 10))]
    start = timezone.now() + 9 * HOUR
    one_after_the_other = [
        admin_form((book, "5.00", 30), **date_and_time("starts_at", start), **date_and_time("ends_at", start + HOUR)),
        admin_form(
            (book, "5.00", 30), **date_and_time("starts_at", start + HOUR), **date_and_time("ends_at", start + 2 * HOUR)
        ),
    ]
    for forms_of_two, left in ((at_the_same_time, 40), (one_after_the_other, 10)):
        with ThreadPoolExecutor(2) as pool:
            statuses = list(pool.map(partial(_post, admin_client.cookies), forms_of_two))
        assert sorted(statuses) == [200, 302]
        assert counts(book) == (left, 0, 0)
    assert FlashSale.objects.count() == 2


def _post(cookies: Any, data: dict[str, str]) -> int:
    """In a separate thread, with these cookies."""
    client = Client()
    client.cookies = cookies
    try:
        return client.post(f"{SALES}add/", data).status_code
    finally:
        connection.close()


# -- A sale that has started -----------------------------------------------------------------------------------------
def test_price_and_start_of_a_running_sale_stay(admin_client: Client) -> None:
    book = a_book(stock=50)
    sale = a_sale(book, units=20, customer_limit=2)
    changed = admin_form(
        (book, "0.01", 30), sale=sale, name="Longer rush", **date_and_time("starts_at", sale.starts_at + HOUR)
    )
    assert admin_client.post(page(sale), changed).status_code == 302
    before = sale.starts_at
    sale.refresh_from_db()
    assert (sale.name, sale.starts_at, sale.books.get().price_minor) == ("Longer rush", before, 500)
    assert (counts(book), counts(book, sale)) == ((20, 0, 0), (30, 0, 0)), "units may still be added"


def test_what_is_held_or_sold_stays_in_the_sale(admin_client: Client) -> None:
    book, other = a_book(stock=50), a_book(stock=50)
    sale = a_sale(book, other, units=20, customer_limit=2)
    hold(book, sale, 2)
    rows: tuple[SaleRow, ...] = ((book, "5.00", 20), (other, "5.00", 20))
    response = admin_client.post(page(sale), admin_form(*rows, sale=sale, leaving=(0,)))
    assert errors(response) == {"books": [f"“{book.title}” cannot be removed: copies are already held or sold."]}
    fewer = admin_form((book, "5.00", 1), (other, "5.00", 20), sale=sale)
    assert errors(admin_client.post(page(sale), fewer)) == {
        "0.units": [f"2 units of {book.isbn} are held or sold in this sale already, so it cannot have 1."]
    }
    assert (counts(book, sale), counts(other, sale)) == ((20, 2, 0), (20, 0, 0))

    assert admin_client.post(page(sale), admin_form(*rows, sale=sale, leaving=(1,))).status_code == 302
    assert (counts(book, sale), counts(other, sale), counts(other)) == ((20, 2, 0), (0, 0, 0), (50, 0, 0))


@pytest.mark.parametrize(("limit", "is_allowed"), [("1", False), ("3", True), ("", True)])
def test_the_limit_of_a_running_sale_can_only_be_raised(admin_client: Client, limit: str, is_allowed: bool) -> None:
    book = a_book(stock=50)
    sale = a_sale(book, units=20, customer_limit=2)
    hold(book, sale, 2)
    response = admin_client.post(page(sale), admin_form((book, "5.00", 20), sale=sale, customer_limit=limit))
    sale.refresh_from_db()
    if is_allowed:
        assert (response.status_code, sale.customer_limit) == (302, int(limit) if limit else None)
    else:
        assert errors(response) == {"customer_limit": ["The sale is running: the limit can only be raised or removed."]}
        assert sale.customer_limit == 2


def test_only_a_sale_that_has_not_started_can_be_deleted(admin_client: Client) -> None:
    book, other = a_book(stock=50), a_book(stock=50)
    running, coming = a_sale(book, units=20), a_sale(other, starts_in=HOUR, units=20)
    assert admin_client.post(page(running, "delete"), {"post": "yes"}).status_code == 403
    assert admin_client.post(page(coming, "delete"), {"post": "yes"}).status_code == 302
    assert (list(FlashSale.objects.all()), counts(other), counts(other, coming)) == ([running], (50, 0, 0), (0, 0, 0))
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag) == (str(coming.pk), DELETION)


def test_a_sale_is_ended_early_and_its_rest_goes_back(admin_client: Client) -> None:
    book, other = a_book(stock=50), a_book(stock=50)
    sale, coming = a_sale(book, units=20), a_sale(other, starts_in=HOUR, name="Next")
    hold(book, sale, 3)
    chosen = {"action": "end_now", "_selected_action": [str(sale.pk), str(coming.pk)]}
    response = admin_client.post(SALES, chosen, follow=True)
    assert sorted(told(response)) == [
        "“Next” was not changed: it is not running.",
        "“Rush” has ended. Unsold copies return to normal sale.",
    ]
    sale.refresh_from_db()
    assert flash_sales.phase_of(sale) == "over"
    left = Stock.objects.filter(bin=pool_name(book.isbn, sale.pk))
    assert left.get().closes_at == flash_sales.closes_at(sale)
    with transaction.atomic():
        assert stock_adjustments.return_unsold() == 0, "orders of the last moment may be on their way"
        left.update(closes_at=sale.ends_at)
        assert stock_adjustments.return_unsold() == 17
    assert (counts(book), counts(book, sale)) == ((47, 0, 0), (3, 3, 0))
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message, entry.user.username) == (str(sale.pk), "Ended early.", "admin")
    assert admin_client.post(page(sale), admin_form((book, "5.00", 20), sale=sale)).status_code == 403
    assert "Rush" in text_of(admin_client.get(page(sale)))


# -- Seeing ----------------------------------------------------------------------------------------------------------
def test_the_list_says_how_each_sale_goes(admin_client: Client) -> None:
    book, other, third = (a_book(stock=50) for _ in range(3))
    running = a_sale(book, third, units=20)
    a_sale(other, starts_in=HOUR, name="Next")
    a_sale(other, starts_in=-3 * HOUR, lasts=HOUR, name="Last week")
    hold(book, running, 2)

    def listed(**query: str) -> dict[str, tuple[int, ...]]:
        rows = admin_client.get(SALES, query).context["cl"].result_list
        return {
            row.name: (row.book_count, row.all_units, row.free_units, row.held_units, row.sold_units) for row in rows
        }

    assert listed() == {"Next": (1, 5, 5, 0, 0), "Rush": (2, 40, 38, 2, 0), "Last week": (1, 5, 5, 0, 0)}
    assert [list(listed(phase=phase)) for phase in flash_sales.Phase] == [["Next"], ["Rush"], ["Last week"]]
    assert listed(q=third.isbn) == {"Rush": (2, 40, 38, 2, 0)}
    text = text_of(admin_client.get(SALES))
    assert [word in text for word in ("upcoming", "running", "over")] == [True] * 3
    assert f"Local time ({timezone.get_current_timezone_name()})." in text_of(admin_client.get(f"{SALES}add/"))


def test_no_page_asks_more_for_more_books(admin_client: Client) -> None:
    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            assert admin_client.get(address).status_code == 200
        return len(asked)

    one, many = a_sale(a_book(stock=50)), a_sale(*(a_book(stock=50) for _ in range(6)))
    admin_client.get(page(one))
    assert queries(page(many)) == queries(page(one))
    few = queries(SALES)
    for _ in range(5):
        a_sale(a_book(stock=50), a_book(stock=50))
    assert queries(SALES) == few


def test_who_may_only_look_changes_nothing(viewer: Client) -> None:
    book = a_book(stock=50)
    sale = a_sale(book, starts_in=HOUR, units=20)
    assert "$5.00" in text_of(viewer.get(page(sale)))
    for address in (page(sale), page(sale, "delete"), f"{SALES}add/"):
        assert viewer.post(address, admin_form((book, "1.00", 1), sale=sale)).status_code == 403
    viewer.post(SALES, {"action": "end_now", "_selected_action": [str(sale.pk)]})
    sale.refresh_from_db()
    assert (flash_sales.phase_of(sale), counts(book, sale)) == ("upcoming", (20, 0, 0))


def test_whoever_may_change_sales_needs_nothing_else() -> None:
    book = a_book(stock=50)
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=("add_flashsale", "change_flashsale", "view_flashsale"))
    )
    clerk = Client()
    clerk.force_login(user)
    assert clerk.post(f"{SALES}add/", admin_form((book, "5.00", 20))).status_code == 302
    sale = FlashSale.objects.get()
    assert clerk.post(page(sale), admin_form((book, "5.00", 30), sale=sale)).status_code == 302
    assert counts(book, sale) == (30, 0, 0)
    assert clerk.post(page(sale, "delete"), {"post": "yes"}).status_code == 403
