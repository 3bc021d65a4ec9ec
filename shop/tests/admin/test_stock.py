"""The stock page: totals by book, its stock pools beside the counters, the ledger in words, and what staff may do."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_redis import get_redis_connection

from devtools.testing.shop.admin_desk import STOCK, confirmed, place, run, text_of, told
from devtools.testing.shop.storefront import a_book
from inventory import stock_adjustments
from inventory.models import Movement, Stock, pool_name
from inventory.redis_counters import admission, counter_sync
from inventory.reservations import holds
from orders.actions.cancellation import cancel_lines
from orders.models import Order
from shop.admin.stock import stock_queries
from shop.models import Book, FlashSale

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]


@pytest.fixture(autouse=True)
def sound_counters(db: Any) -> Iterator[None]:
    """Valid counters for the stock, deleted afterwards."""
    counter_sync.rebuild("a test begins")
    yield
    admission.forget()


def a_sale(book: Book, units: int, *, limit: int | None = None) -> FlashSale:
    """A sale that has begun, with units of this book set aside."""
    now = timezone.now()
    sale = FlashSale.objects.create(
        name="Midnight rush", starts_at=now, ends_at=now + timedelta(hours=1), customer_limit=limit
    )
    allotment = stock_adjustments.Allotment(
        sale_id=sale.pk, sku=book.isbn, units=units, customer_limit=limit, hold_seconds=None, closes_at=sale.ends_at
    )
    with transaction.atomic():
        stock_adjustments.set_aside(allotments=[allotment], reason="for Midnight rush", by="ada")
    return sale


def hold(units: dict[str, int]) -> None:
    """Hold these units, by pool, for an order that is not paid yet."""
    order = Order.objects.get(pk=place(a_book(stock=0)))
    with transaction.atomic():
        holds.hold(requests=[holds.ReservationRequest(order_id=order.pk, units=units)])


def listed(client: Client, query: str = "") -> dict[str, tuple[int, int, int, int, int]]:
    """By title: received, held, sold, free, set aside."""
    rows = client.get(STOCK + query).context["cl"].result_list
    return {r.title: (r.all_received, r.all_held, r.all_sold, r.all_free, r.set_aside) for r in rows}


def shown_counters(client: Client) -> dict[str, str]:
    """By title: the counter as the list shows it."""
    return {row.title: " ".join(row.counter_label.split()) for row in client.get(STOCK).context["cl"].result_list}


def page(book: Book, **query: Any) -> str:
    """Address of the page of a book's stock."""
    return f"{STOCK}{book.isbn}/change/" + (f"?{urlencode(query)}" if query else "")


def lines(client: Client, book: Book, **query: Any) -> list[tuple[str, int, int | None]]:
    """The ledger as it is shown: words, change of the free units, free units after it."""
    found = client.get(page(book, **query)).context["page"].entries
    return [(entry.words, entry.change, entry.free_after) for entry in found]


# -- The list -----------------------------------------------------------------------------------------------
def test_a_book_is_one_row_with_the_sums_of_its_bins(book: Book, admin_client: Client) -> None:
    other = a_book(stock=7, title="Other")
    sale = a_sale(book, 20)
    hold({book.isbn: 2})
    hold({pool_name(book.isbn, sale.pk): 3})
    confirmed(book, quantity=4)
    assert listed(admin_client) == {book.title: (50, 5, 4, 41, 17), "Other": (7, 0, 0, 7, 0)}
    assert list(listed(admin_client, "?o=3")) == ["Other", book.title]
    assert set(listed(admin_client, f"?q={other.isbn}")) == {"Other"}
    rows = text_of(admin_client.get(STOCK))
    assert rows.count(book.isbn) > 0
    assert pool_name(book.isbn, sale.pk) not in rows


def test_free_units_are_counted_over_all_bins(admin_client: Client) -> None:
    scarce = a_book(stock=8, title="All but two set aside")
    a_sale(scarce, 6)
    gone = a_book(stock=1, title="Gone")
    hold({gone.isbn: 1})
    assert set(listed(admin_client, "?level=enough")) == {"All but two set aside"}
    assert set(listed(admin_client, "?level=none")) == {"Gone"}
    assert [row.title for row in admin_client.get("/admin/").context["shop"].scarce] == ["Gone"]
    (row,) = admin_client.get("/admin/shop/book/", {"q": scarce.isbn}).context["cl"].result_list
    assert (row.all_free, row.all_held, row.all_sold) == (8, 0, 0)


def test_the_counter_stands_beside_postgresql(book: Book, admin_client: Client) -> None:
    sale = a_sale(book, 20)
    hold({book.isbn: 2})
    assert ">48<" in shown_counters(admin_client)[book.title].replace(" ", "")
    with transaction.atomic():
        stock_adjustments.receive(quantities={book.isbn: 1}, reason="test")
    right = shown_counters(admin_client)[book.title]
    assert "Differs from PostgreSQL" not in right
    # Told, and yet another number: that is what must catch the eye.
    get_redis_connection("stock").hset(admission.FREE, pool_name(book.isbn, sale.pk), 3)
    wrong = shown_counters(admin_client)[book.title]
    assert f"Differs from PostgreSQL, which decides: {pool_name(book.isbn, sale.pk)}" in wrong
    assert ">32<" in wrong.replace(" ", "")
    get_redis_connection("stock").hdel(admission.FREE, book.isbn)
    assert "unknown" in shown_counters(admin_client)[book.title]
    admission.forget()
    assert "unknown" in shown_counters(admin_client)[book.title]


def test_a_count_that_is_not_told_yet_is_no_alarm(book: Book) -> None:
    stock = Stock.objects.get(bin=book.isbn)
    for version, free in ((stock.version - 1, 3), (stock.version + 1, 3), (stock.version, 50)):
        told_ = {book.isbn: admission.StockCounter(free=free, version=version, taken=1)}
        label = stock_queries.counter_label([stock], told_)
        assert "Differs" not in label
        assert f">{free - 1}<" in "".join(label.split())
    assert "Differs" in stock_queries.counter_label(
        [stock], {book.isbn: admission.StockCounter(free=3, version=stock.version, taken=0)}
    )


def test_a_page_of_the_list_asks_redis_once(book: Book, admin_client: Client) -> None:
    def calls() -> tuple[int, int]:
        client = get_redis_connection("stock")
        before = client.info("stats")["total_commands_processed"]
        with CaptureQueriesContext(connection) as asked:
            admin_client.get(STOCK)
        return len(asked), client.info("stats")["total_commands_processed"] - before

    calls()
    few = calls()
    for _ in range(20):
        a_sale(a_book(stock=5), 2)
    assert calls() == few
    assert few[0] <= 8


# -- The page of one book ---------------------------------------------------------------------------------
def test_the_bins_of_a_book(book: Book, admin_client: Client, viewer: Client) -> None:
    sale = a_sale(book, 20, limit=4)
    hold({pool_name(book.isbn, sale.pk): 3})
    shown = admin_client.get(page(book)).context["page"]
    assert [(b.stock.bin, b.stock.received, b.stock.held, b.stock.sold, b.stock.free) for b in shown.pools] == [
        (book.isbn, 30, 0, 0, 30), (pool_name(book.isbn, sale.pk), 20, 3, 0, 17),
    ]  # fmt: skip
    assert ["17" in p.counter for p in shown.pools] == [False, True]
    assert shown.pools[0].pool == "ordinary"
    words = text_of(admin_client.get(page(book)))
    for text in (book.title, "Midnight rush", "4 a customer", "/correct/?sku=", "/receive/?sku="):
        assert text in words, text
    looked_at = text_of(viewer.get(page(book)))
    assert "/correct/" not in looked_at
    assert "/receive/" not in looked_at
    missing = admin_client.get(f"{STOCK}{pool_name(book.isbn, sale.pk)}/change/")
    assert (missing.status_code, missing.headers.get("Location")) == (302, "/admin/")


def test_the_ledger_tells_everything_that_led_there(book: Book, admin_client: Client) -> None:
    order = confirmed(book, quantity=3)
    with transaction.atomic():
        cancel_lines(order_id=order.pk, units={book.isbn: 1}, reason="damaged", by="ada")
    run()
    sale = a_sale(book, 10)
    hold({pool_name(book.isbn, sale.pk): 2})
    with transaction.atomic():
        stock_adjustments.correct(sku=book.isbn, change=-1, reason="lost", by="ada")
        holds.release(order_ids=[Order.objects.latest("placed_at").pk])
    assert lines(admin_client, book) == [
        ("2 held before, free again", 2, 47),
        ("1 fewer than the records said", -1, 45),
        ("2 held for an order", -2, 46),
        ("10 put into the sale", 10, 48),
        ("10 set aside for a sale", -10, 38),
        ("1 sold before, free again", 1, 48),
        ("3 held before, now sold", 0, 47),
        ("3 held for an order", -3, 47),
        ("50 arrived", 50, 50),
    ]
    assert lines(admin_client, book, kind="held") == [
        ("2 held for an order", -2, None), ("3 held for an order", -3, None),
    ]  # fmt: skip
    assert lines(admin_client, book, kind="expired") == []
    assert len(lines(admin_client, book, kind="nonsense")) == 9
    words = text_of(admin_client.get(page(book)))
    for text in (f"/admin/orders/order/{order.pk}/change/", order.reference, "Midnight rush", "lost", "ada"):
        assert text in words, text


def test_the_ledger_has_pages_and_the_balance_goes_on(book: Book, admin_client: Client) -> None:
    for number in range(60):
        with transaction.atomic():
            stock_adjustments.correct(
                sku=book.isbn, change=1 if number % 3 else -1, reason=f"change {number}", by="ada"
            )
    everything = [line for p in (1, 2, 3) for line in lines(admin_client, book, p=p)]
    assert len(everything) == 61
    assert [free for _, _, free in everything] == [
        sum(change for _, change, _ in everything[n:]) for n in range(len(everything))
    ]
    assert everything[0][2] == Stock.objects.get(bin=book.isbn).free
    words = text_of(admin_client.get(page(book, p=2, kind="corrected")))
    assert "60 of this kind" in words
    assert "?kind=corrected&p=1#" in words
    assert "?kind=corrected&p=3#" in words


def test_the_page_asks_as_often_for_many_movements_as_for_few(book: Book, admin_client: Client) -> None:
    confirmed(book)
    a_sale(book, 3)
    admin_client.get(page(book))
    with CaptureQueriesContext(connection) as few:
        admin_client.get(page(book))
    for _ in range(6):
        confirmed(book)
    with CaptureQueriesContext(connection) as many:
        admin_client.get(page(book))
    assert len(many) == len(few) <= 16


def test_a_movement_can_be_changed_by_nobody(book: Book, admin_client: Client) -> None:
    movement = Movement.objects.get(sku=book.isbn)
    for path in (page(book), f"/admin/inventory/movement/{movement.pk}/change/"):
        assert admin_client.post(path, {"received": "9"}).status_code in (403, 404)
    assert (Movement.objects.get(), movement.received) == (movement, 50)


# -- What people do -----------------------------------------------------------------------------------------
def correct(client: Client, book: Book, **fields: Any) -> Any:
    """Send the form as it is now, with these fields filled in."""
    address = f"{STOCK}correct/?sku={book.isbn}"
    expected = client.get(address).context["form"].initial["expected"]
    data = {"change": "", "counted": "", "reason": "stocktaking", "expected": expected, **fields}
    return client.post(address, data, follow=True)


def test_units_arrive_in_the_name_of_a_person(book: Book, admin_client: Client) -> None:
    admin_client.post(f"{STOCK}receive/", {"sku": book.isbn, "units": "5", "reason": "second printing"})
    last = Movement.objects.latest("id")
    assert (last.kind, last.received, last.by, last.reason) == ("received", 5, "admin", "second printing")


def test_a_count_is_corrected_by_a_number(book: Book, admin_client: Client) -> None:
    response = correct(admin_client, book, change="-2", reason="water")
    assert told(response) == [f"{book.isbn} corrected by -2; 48 are free now."]
    last = Movement.objects.latest("id")
    assert (last.kind, last.received, last.by, last.reason) == ("corrected", -2, "admin", "water")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (book.isbn, "Corrected by -2 units: water")
    assert told(correct(admin_client, book, change="3")) == [f"{book.isbn} corrected by +3; 51 are free now."]


def test_a_count_is_corrected_to_what_lies_on_the_shelf(book: Book, admin_client: Client) -> None:
    sale = a_sale(book, 10)
    hold({pool_name(book.isbn, sale.pk): 2})
    confirmed(book, quantity=4)
    form = text_of(admin_client.get(f"{STOCK}correct/?sku={book.isbn}"))
    assert "The records say 46 copies" in form
    assert told(correct(admin_client, book, counted="43")) == [f"{book.isbn} corrected by -3; 41 are free now."]
    assert Movement.objects.latest("id").received == -3
    assert Stock.objects.get(bin=book.isbn).received == 37


def test_a_count_that_was_overtaken_is_not_taken(book: Book, admin_client: Client) -> None:
    address = f"{STOCK}correct/?sku={book.isbn}"
    form = {"change": "", "counted": "48", "reason": "stocktaking", "expected": "50"}
    confirmed(book, quantity=1)
    refused = admin_client.post(address, form)
    assert "they now say 49 copies" in text_of(refused)
    assert 'name="expected" value="49"' in text_of(refused)
    assert Movement.objects.filter(kind="corrected").count() == 0
    assert LogEntry.objects.count() == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Enter either a difference or a count"),
        ({"change": "1", "counted": "51"}, "Enter either a difference or a count"),
        ({"change": "0"}, "nothing to correct"),
        ({"counted": "50"}, "nothing to correct"),
        ({"counted": "-1"}, "greater than or equal to 0"),
        ({"change": "-51"}, "Only 50 units of"),
        ({"counted": "1"}, "Only 47 units of"),
        ({"change": "200000"}, "less than or equal to 100000"),
        ({"change": "-1", "reason": ""}, "This field is required"),
    ],
)
def test_a_correction_that_makes_no_sense_is_refused(
    book: Book, admin_client: Client, fields: dict[str, str], words: str
) -> None:
    if fields.get("counted") == "1":
        hold({book.isbn: 3})
    before = Stock.objects.get(bin=book.isbn).received
    assert words in text_of(correct(admin_client, book, **fields))
    assert Stock.objects.get(bin=book.isbn).received == before
    assert Movement.objects.filter(kind="corrected").count() == 0
    assert LogEntry.objects.count() == 0


def test_who_may_only_look_corrects_nothing(book: Book, admin_client: Client, viewer: Client) -> None:
    address = f"{STOCK}correct/?sku={book.isbn}"
    data = {"change": "-2", "reason": "mine", "expected": "50"}
    assert viewer.get(address).status_code == 403
    assert viewer.post(address, data).status_code == 403
    assert admin_client.get(f"{STOCK}correct/?sku=9780000000002").status_code == 404
    assert Movement.objects.filter(kind="corrected").count() == 0
