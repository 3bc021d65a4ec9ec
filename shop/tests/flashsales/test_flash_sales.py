"""What buyers see of a flash sale, and what is ordered in one."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import transaction
from django.test import Client
from django.utils import timezone

from devtools.testing.shop.flash_sales import HOUR, a_sale, move
from devtools.testing.shop.storefront import a_book, api_order, checkout_form, put_in_cart
from events import catalogue
from inventory import stock_adjustments
from inventory.models import Hold, Stock, pool_name
from inventory.redis_counters import admission, counter_sync
from inventory.reservations import expiry, holds
from kafka_bridge import testing
from orders import queries
from orders.models import Order, OrderLine, Status, new_id
from payments.models import Refund
from shop.books import pricing
from shop.checkout import price_check
from shop.flashsales import flash_sales
from shop.models import Book, FlashSale

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_world")]


@pytest.fixture(params=catalogue.FLOWS)
def flow(request: pytest.FixtureRequest, settings: Any) -> str:
    """Both flows."""
    settings.ORDER_FLOW = request.param
    return str(request.param)


def text_of(response: Any) -> str:
    """The page's words, white space collapsed."""
    assert response.status_code in (200, 422)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def panel(client: Client, book: Book) -> tuple[dict[str, str], str]:
    """Attributes and words of the panel from which the book is bought."""
    page = client.get(f"/books/{book.isbn}/panel/").content.decode()
    (attributes,) = re.findall(r"<aside ([^>]*)>", page)
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
    return dict(re.findall(r'data-(\w+)="([^"]*)"', attributes)), words


def hold(book: Book, sale: FlashSale, units: int) -> Any:
    """An order that is not paid yet holds so many units of the sale; returns its id."""
    order_id = new_id()
    request = holds.ReservationRequest(
        order_id=order_id, units={pool_name(book.isbn, sale.pk): units}, customer=str(order_id)[:32]
    )
    with transaction.atomic():
        (outcome,) = holds.hold(requests=[request]).values()
    assert outcome.held
    pricing.forget()
    return order_id


def counts(book: Book, sale: FlashSale | None = None) -> tuple[int, int, int]:
    """Received, held and sold of the ordinary pool, or of the sale's."""
    stock = Stock.objects.get(bin=pool_name(book.isbn, sale.pk if sale else None))
    return stock.received, stock.held, stock.sold


def order(client: Client, book: Book, quantity: int = 1, **changes: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of an attempt to order over the JSON interface."""
    body = json.dumps(api_order(book, quantity, **changes))
    response = client.post("/api/orders/", body, content_type="application/json")
    return response.status_code, response.json()


# -- The page ---------------------------------------------------------------------------------------------------
def test_the_panel_in_each_phase(client: Client) -> None:
    book = a_book(stock=30, price_minor=1000)
    attributes, words = panel(client, book)
    assert (attributes["phase"], attributes["left"], attributes["starts"]) == ("none", "30", "")
    assert "$10.00 In stock Copies" in words

    sale = a_sale(book, starts_in=timedelta(minutes=4), units=20, price_minor=400, customer_limit=2)
    attributes, words = panel(client, book)
    assert (attributes["phase"], attributes["left"]) == ("upcoming", "10")
    assert (attributes["starts"], attributes["ends"]) == (sale.starts_at.isoformat(), sale.ends_at.isoformat())
    assert "$10.00 In stock Flash sale: Rush starts in 4 minutes" in words
    assert "20 copies at $4.00 , up to 2 for each customer." in words

    move(sale, starts_in=timedelta(0))
    attributes, words = panel(client, book)
    assert (attributes["sku"], attributes["phase"], attributes["left"]) == (book.isbn, "running", "20")
    assert "Flash sale: Rush $4.00 instead of $10.00 \N{MINUS SIGN}60% 20 of 20 left ends in 2 hours" in words
    assert "Up to 2 for each customer." in words
    assert 'max="2"' in client.get(f"/books/{book.isbn}/panel/").content.decode()

    move(sale, starts_in=-timedelta(minutes=121))
    attributes, words = panel(client, book)
    assert (attributes["phase"], attributes["left"]) == ("over", "10")
    assert "$10.00 In stock “Rush” is over. The book is at its usual price again." in words


def test_the_page_shows_the_panel_and_the_lists_the_price(client: Client) -> None:
    book, neighbour = a_book(stock=30, price_minor=1000), a_book(stock=30, price_minor=700)
    a_sale(book, units=20, price_minor=400)
    page = client.get(book.get_absolute_url()).content.decode()
    assert page.count("<aside") == 1
    assert 'data-phase="running"' in page
    front = text_of(client.get("/"))
    assert "Flash sale " + book.title in front
    assert "$4.00 instead of $10.00" in front
    assert "$4.00 instead of $10.00" in text_of(client.get(neighbour.get_absolute_url()))
    cheapest_first = [one.pk for one in client.get("/", {"sort": "price"}).context["page"].object_list]
    assert cheapest_first == [book.pk, neighbour.pk]


def test_the_panel_is_never_cached_and_costs_no_query_of_books(
    client: Client, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in (pricing._usual, pricing._left, flash_sales._sales):
        monkeypatch.setattr(known, "_max_age_seconds", 60.0)  # a machine may be slow
    monkeypatch.setattr(admission, "_backoff_until", 0.0)  # Redis may have been away a moment ago, in another test
    book = a_book(stock=30)
    a_sale(book)
    counter_sync.rebuild("so that PostgreSQL need not be asked")
    pricing.offers([book.isbn])
    with django_assert_num_queries(0):
        response = client.get(f"/books/{book.isbn}/panel/")
    assert "no-store" in response.headers["Cache-Control"]
    assert client.get("/books/9795000000019/panel/").status_code == 404
    Book.objects.update(is_listed=False)
    pricing.forget()
    assert "No longer for sale" in text_of(client.get(f"/books/{book.isbn}/panel/"))


def test_sold_out_is_said_and_nothing_is_ordered_until_copies_come_back(client: Client) -> None:
    book = a_book(stock=30)
    sale = a_sale(book, units=3)
    put_in_cart(client, book)
    form = checkout_form(client)
    order_id = hold(book, sale, 3)

    attributes, words = panel(client, book)
    assert (attributes["phase"], attributes["left"]) == ("running", "0")
    assert "Sold out" in words
    assert "A held copy that is not paid for in time comes back, and you can buy it here." in words
    assert "<form" not in client.get(f"/books/{book.isbn}/panel/").content.decode()
    sentence = f"“{book.title}” is sold out. A copy comes back when an order that holds it is not paid in time."
    assert sentence in text_of(client.post("/checkout/", form))
    status, answer = order(client, book)
    assert (status, answer["error"]["code"], answer["error"]["message"]) == (422, "sold_out", sentence)
    assert Order.objects.count() == 0

    with transaction.atomic():
        holds.release(order_ids=[order_id])
    attributes, _ = panel(client, book)
    assert attributes["left"] == "3"
    pricing.forget()
    assert order(client, book)[0] == 201


# -- Ordering -----------------------------------------------------------------------------------------------------
def test_a_price_that_was_seen_before_the_start_is_refused(client: Client) -> None:
    book = a_book(stock=30, price_minor=1000)
    sale = a_sale(book, starts_in=HOUR, price_minor=400)
    put_in_cart(client, book)
    form = checkout_form(client)
    move(sale, starts_in=timedelta(0))

    assert f"“{book.title}” now costs $4.00; it was $10.00." in text_of(client.post("/checkout/", form))
    assert Order.objects.count() == 0
    cart = text_of(client.get("/cart/"))
    assert "$4.00 each · flash sale" in cart
    assert f"“{book.title}” now costs $4.00; it was $10.00." in cart
    lines = [{"sku": book.isbn, "quantity": 1, "expected_price_minor": 1000}]
    status, answer = order(client, book, lines=lines)
    assert (status, answer["error"]["problems"]) == (
        422,
        [
            {
                "code": "price_changed",
                "sku": book.isbn,
                "message": f"“{book.title}” now costs $4.00; it was $10.00.",
                "left": None,
                "price_minor": 400,
            }
        ],
    )

    assert client.post("/checkout/", checkout_form(client)).status_code == 302
    line = OrderLine.objects.get()
    assert (line.unit_price_minor, line.sale_id) == (400, sale.pk)


def test_a_price_that_was_seen_before_the_end_is_refused(client: Client) -> None:
    book = a_book(stock=30, price_minor=1000)
    sale = a_sale(book, price_minor=400)
    put_in_cart(client, book)
    form = checkout_form(client)
    move(sale, starts_in=-3 * HOUR)
    assert f"“{book.title}” now costs $10.00; it was $4.00." in text_of(client.post("/checkout/", form))
    assert Order.objects.count() == 0


def test_more_than_the_limit_is_refused_in_words(client: Client) -> None:
    book = a_book(stock=30)
    a_sale(book, units=20, customer_limit=2)
    sentence = f"Each customer can have up to 2 copies of “{book.title}” in this sale; you asked for 3."
    status, answer = order(client, book, 3)
    assert (status, answer["error"]["code"], answer["error"]["message"]) == (422, "over_limit", sentence)
    put_in_cart(client, book, 3)
    assert f"Your cart has 2 copies of “{book.title}”, the maximum for one order." in text_of(client.get("/"))
    client.post("/cart/change/", {"sku": book.isbn, "quantity": 3})
    cart = client.get("/cart/")
    assert (sentence in text_of(cart), cart.context["blocked"], cart.context["total_minor"]) == (True, True, 1000)
    page = client.get("/checkout/")
    assert sentence in text_of(page)
    assert [line.quantity for line in page.context["lines"]] == [2], "what can be had is offered"
    assert client.post("/checkout/", checkout_form(client)).status_code == 302
    assert OrderLine.objects.get().quantity == 2


def test_of_two_reasons_both_are_said() -> None:
    book = a_book(stock=30)
    a_sale(book, units=1, customer_limit=2)

    def found(quantity: int) -> list[tuple[str, int | None]]:
        wanted = price_check.WantedLine(sku=book.isbn, quantity=quantity)
        return [(difference.code, difference.left) for difference in price_check.differences([wanted])]

    assert [found(quantity) for quantity in (1, 2, 3)] == [
        [],
        [("not_enough", 1)],
        [("over_limit", 2), ("not_enough", 1)],
    ]


def test_only_an_order_with_a_limit_says_who_buys(client: Client) -> None:
    limited, plain = a_book(stock=30), a_book(stock=30)
    a_sale(limited, customer_limit=2)
    a_sale(plain, name="Other")
    for book in (plain, limited):
        order(client, book)
    user = User.objects.create_user("reader")
    client.force_login(user)
    put_in_cart(client, limited)
    client.post("/checkout/", checkout_form(client))
    created: list[Any] = list(testing.stated(catalogue.OrderCreated))
    assert [event.customer for event in created] == [
        "",
        flash_sales.customer_of(None, "ada@example.com"),
        flash_sales.customer_of(user.pk, ""),
    ]
    assert [line.sale_id is None for event in created for line in event.lines] == [False] * 3


# -- Whole stories --------------------------------------------------------------------------------------------------
def test_two_orders_of_one_customer_are_held_to_the_limit(client: Client, flow: str) -> None:
    book = a_book(stock=30)
    sale = a_sale(book, units=20, customer_limit=2)
    both = [order(client, book, 2)[1]["order"] for _ in range(2)]
    other = order(client, book, 2, email="bob@example.com")[1]["order"]
    testing.MemoryBroker(duplicates=True).drain()

    assert Order.objects.get(pk=other).status == Status.DELIVERED
    kept, refused = Order.objects.filter(pk__in=both).order_by("-status")
    assert (kept.status, refused.status) == (Status.DELIVERED, Status.CANCELLED)
    assert (refused.cancel_reason, refused.is_final) == ("limit per customer reached", True)
    assert (counts(book, sale), counts(book)) == ((20, 0, 4), (10, 0, 0))
    paid_first = flow == catalogue.PAYMENT_FIRST
    assert list(Refund.objects.values_list("charge__order_id", "state")) == [(refused.pk, "succeeded")] * paid_first
    why = "In this sale each customer can have only so many copies, and this order would have made it more."
    money = "Your money has been refunded." if paid_first else "You have not been charged."
    (told,) = [one.body for one in mail.outbox if refused.reference in one.body and "cancelled" in one.subject]
    assert why in told
    snapshot = queries.snapshot(refused.pk)
    assert snapshot is not None
    assert snapshot.detail == f"{why} {money}"


def test_a_hold_that_is_not_paid_comes_back_and_is_sold_again(client: Client) -> None:
    book = a_book(stock=30)
    sale = a_sale(book, units=1, customer_limit=1)
    slow = order(client, book)[1]["order"]
    testing.MemoryBroker(groups={"inventory", "orders"}).drain()
    pricing.forget()
    assert (counts(book, sale), pricing.free(pricing.offers([book.isbn]))[book.isbn]) == ((1, 1, 0), 0)
    assert order(client, book, email="bob@example.com")[0] == 422

    with transaction.atomic():
        stale = Hold.objects.get().reservation
        stale.expires_at = timezone.now() - timedelta(seconds=1)
        stale.save()
        assert expiry.expire_holds() == 1
    testing.MemoryBroker().drain()
    pricing.forget()
    assert Order.objects.get(pk=slow).cancel_reason == "not paid in time"
    again = order(client, book, email="bob@example.com")[1]["order"]
    testing.MemoryBroker().drain()
    assert Order.objects.get(pk=again).status == Status.DELIVERED
    assert counts(book, sale) == (1, 0, 1)
    (told,) = [one.body for one in mail.outbox if "cancelled" in one.subject]
    assert "We held your books for a while, but the payment did not arrive in time" in told


def test_after_the_end_what_is_left_is_sold_as_usual(client: Client, flow: str) -> None:
    book = a_book(stock=5, price_minor=1000)
    sale = a_sale(book, units=5, price_minor=400)
    during = order(client, book, 2)[1]["order"]
    testing.MemoryBroker().drain()
    move(sale, starts_in=-3 * HOUR)
    assert order(client, book)[1]["error"]["code"] == "sold_out"
    with transaction.atomic():
        assert stock_adjustments.return_unsold() == 3
    pricing.forget()
    after = order(client, book, 3)[1]["order"]
    testing.MemoryBroker().drain()
    assert [Order.objects.get(pk=pk).total_minor for pk in (during, after)] == [800, 3000]
    assert (counts(book, sale), counts(book)) == ((2, 0, 2), (3, 0, 3))
