"""The total at the checkout: shown before the click, ordered as shown, charged, and given back to the last cent."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from devtools.testing.shop import orders
from devtools.testing.shop.rates import a_coupon, a_method, a_tax
from devtools.testing.shop.shop_at_rest import broken
from devtools.testing.shop.storefront import CONTACT, a_book, api_order, checkout_form, put_in_cart
from events import catalogue
from inventory.redis_counters import counter_sync
from kafka_bridge import testing
from money.breakdown import Tax
from orders import prices
from orders.actions import cancellation, parcels, returns
from orders.coupons.tables import Coupon
from orders.models import CouponUse, Order
from orders.placing import placement
from payments.models import Charge
from shop.prices import coupons, rates

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.shop, pytest.mark.money,
    pytest.mark.usefixtures("slow_carrier"),
]  # fmt: skip


def codes(response: Any) -> list[str]:
    return [difference.code for difference in response.context["differences"]]


def sent_again(response: Any, form: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a browser sends from the page that asked again."""
    return {**form, "expected_total_minor": str(response.context["quote"].total_minor), **changes}


# -- Before the click --------------------------------------------------------------------------------------
def test_shipping_and_tax_are_in_the_total_before_anything_is_ordered(client: Client) -> None:
    a_method(prices={"US": 399, "": 899})
    a_tax("US", "10", is_added=True)
    put_in_cart(client, a_book(price_minor=1000), 2)
    assert "Total before shipping" in client.get("/checkout/").content.decode(), "nobody has said to where"
    assert "worked out at the checkout" in client.get("/cart/").content.decode()
    form = checkout_form(client, shipping="")
    shown = client.post("/checkout/", {**form, "update": "1"})
    costs = shown.context["quote"].costs
    assert (shown.status_code, costs.shipping.price_minor, costs.tax_minor, costs.total_minor) == (200, 399, 240, 2639)
    assert 'value="Ada Reader"' in shown.content.decode()
    assert Order.objects.count() == 0

    first = client.post("/checkout/", form)
    assert (first.status_code, codes(first)) == (422, ["total_changed"])
    assert "The total is $26.39 with shipping for $3.99 and $2.40 of tax; you saw $20.00." in first.content.decode()
    placed = client.post("/checkout/", sent_again(first, form))
    order = Order.objects.get()
    assert (order.total_minor, order.shipping_minor, order.shipping_tax_minor) == (2639, 439, 40)
    assert (order.is_tax_added, order.books_tax_ppm, order.shipping_method) == (True, 100_000, "Standard")
    page = client.get(placed["Location"]).content.decode()
    assert [words in page for words in ("Standard", "$3.99", "$2.40", "$26.39", "$20.00")] == [True] * 5


def test_rates_that_change_meanwhile_are_asked_about(client: Client) -> None:
    method = a_method(prices={"US": 399})
    put_in_cart(client, a_book(price_minor=1000))
    form = checkout_form(client, expected_total_minor="1399")
    method.rates.update(price_minor=499)
    rates.forget()
    refused = client.post("/checkout/", form)
    assert codes(refused) == ["total_changed"]
    assert client.post("/checkout/", sent_again(refused, form)).status_code == 302
    assert Order.objects.get().total_minor == 1499


def test_a_country_that_no_way_goes_to_is_refused(client: Client) -> None:
    a_method(prices={"DE": 399})
    put_in_cart(client, a_book())
    response = client.post("/checkout/", checkout_form(client))
    assert codes(response) == ["not_delivered"]
    assert "We do not ship these books to United States." in response.content.decode()


def test_the_way_that_is_chosen_is_the_one_that_is_paid(client: Client) -> None:
    a_method(prices={"US": 399})
    a_method("express", prices={"US": 1299}, position=1)
    put_in_cart(client, a_book(price_minor=1000))
    form = checkout_form(client, shipping="express", expected_total_minor="2299")
    assert client.post("/checkout/", form).status_code == 302
    assert (Order.objects.get().shipping_method, Order.objects.get().shipping_minor) == ("Express", 1299)


def test_tax_in_the_price_changes_no_total(client: Client) -> None:
    a_tax("US", "7")
    put_in_cart(client, a_book(price_minor=1070))
    placed = client.post("/checkout/", checkout_form(client, expected_total_minor="1070"))
    order = Order.objects.get()
    assert (order.total_minor, order.lines.get().tax_minor, order.lines.get().amount_minor) == (1070, 70, None)
    assert "Tax in the total" in client.get(placed["Location"]).content.decode()


# -- Coupons -----------------------------------------------------------------------------------------------
def test_a_coupon_takes_its_part_off(client: Client) -> None:
    a_method(prices={"US": 500})
    a_coupon(percent=15, limit=3)
    put_in_cart(client, a_book(price_minor=999))
    put_in_cart(client, a_book(price_minor=1001))
    form = checkout_form(client, coupon=" spring ", expected_total_minor="2200")
    assert client.post("/checkout/", form).status_code == 302
    order = Order.objects.get()
    assert (order.total_minor, order.coupon_code) == (2200, "SPRING")
    assert [line.discount_minor for line in order.lines.all()] == [150, 150]
    event = testing.stated()[0]
    assert isinstance(event, catalogue.OrderCreated)
    assert (event.discount_minor, event.shipping_minor, event.total_minor) == (300, 500, 2200)
    assert sum(line.paid_minor for line in event.lines) + event.shipping_minor == event.total_minor
    assert client.post("/checkout/", form).status_code == 302, "a double click"
    assert (Coupon.objects.get().used, CouponUse.objects.count(), Order.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize(
    ("terms", "typed", "words"),
    [
        ({}, "WINTER", "There is no coupon “WINTER”."),
        ({"is_active": False}, "SPRING", "cannot be used any more"),
        ({"ends_at": timezone.now() - timedelta(days=1)}, "SPRING", "cannot be used any more"),
        ({"starts_at": timezone.now() + timedelta(days=1)}, "SPRING", "cannot be used yet"),
        ({"limit": 0}, "SPRING", "has been used up"),
        ({"minimum_minor": 5000}, "SPRING", "is for orders of $50.00 or more"),
    ],
)
def test_a_coupon_that_cannot_be_used_says_why(client: Client, terms: dict[str, Any], typed: str, words: str) -> None:
    a_coupon(**terms)
    put_in_cart(client, a_book(price_minor=1000))
    form = checkout_form(client, coupon=typed)
    shown = client.post("/checkout/", {**form, "update": "1"})
    assert (shown.context["quote"].total_minor, words in shown.content.decode()) == (1000, True)
    refused = client.post("/checkout/", form)
    assert (refused.status_code, codes(refused)) == (422, ["coupon_refused"])
    assert client.post("/checkout/", sent_again(refused, form, coupon="")).status_code == 302


def test_a_person_has_it_as_often_as_the_limit_says() -> None:
    a_coupon(limit_each=1)
    book = a_book(price_minor=1000)
    for email, expected in (("ada@example.com", 302), ("Ada@Example.com", 422), ("eve@example.com", 302)):
        client = Client()
        put_in_cart(client, book)
        form = checkout_form(client, coupon="SPRING", expected_total_minor="900", email=email)
        response = client.post("/checkout/", form)
        assert response.status_code == expected
    assert Coupon.objects.get().used == 2


def test_free_shipping_and_an_amount(client: Client) -> None:
    a_method(prices={"US": 500})
    a_coupon("FREE", kind="shipping")
    a_coupon("FIVE", kind="amount", amount_minor=500, minimum_minor=501)
    book = a_book(price_minor=1000)
    for code, total in (("FREE", "1000"), ("FIVE", "1000")):
        put_in_cart(client, book)
        assert (
            client.post("/checkout/", checkout_form(client, coupon=code, expected_total_minor=total)).status_code == 302
        )
    assert sorted(Order.objects.values_list("coupon_code", "total_minor", "shipping_minor")) == [
        ("FIVE", 1000, 500), ("FREE", 1000, 0),
    ]  # fmt: skip


def test_guessing_is_stopped(client: Client) -> None:
    a_coupon()
    put_in_cart(client, a_book(price_minor=1000))
    form = checkout_form(client)
    for tries in range(200):  # one is let through each half a minute, so a slow machine needs more than 21
        answer = client.post("/checkout/", {**form, "coupon": f"GUESS{tries}", "update": "1"})
        if answer.status_code == 429:
            break
    assert (answer.status_code, tries >= 20) == (429, True)
    assert "Too many coupons" in answer.content.decode()


def test_the_json_interface_takes_them_too(client: Client) -> None:
    a_method(prices={"US": 500})
    a_coupon()
    book = a_book(price_minor=1000)
    asked = api_order(book, coupon="SPRING", shipping="standard")
    for changes, status, code in (
        ({"expected_total_minor": 1000}, 422, "total_changed"),
        ({"coupon": "NONE"}, 422, "coupon_refused"),
        ({"country": "DE"}, 422, "not_delivered"),
        ({"expected_total_minor": 1400}, 201, ""),
    ):
        response = client.post("/api/orders/", json.dumps({**asked, **changes}), content_type="application/json")
        assert response.status_code == status
        assert response.json().get("type", "").endswith(code)
    assert Order.objects.get().total_minor == 1400


# -- Charged, and given back -------------------------------------------------------------------------------
@pytest.mark.parametrize("flow", catalogue.FLOWS)
@pytest.mark.parametrize("is_added", [False, True])
def test_what_is_captured_is_the_total_and_all_parts_go_back_exactly(flow: str, is_added: bool) -> None:
    books = [a_book(price_minor=price, stock=200) for price in (999, 333)]
    counter_sync.sync()
    coupon = a_coupon(percent=17)
    broker = testing.MemoryBroker()
    acts = [(cancellation, 0, 1), (cancellation, 1, 2), (returns, 0, 2), (returns, 1, 1)]
    sequences = [acts, [acts[1], acts[0], acts[3], acts[2]], [acts[0], acts[2], acts[3]]]
    drafts = [draft(books, coupon, flow=flow, is_added=is_added) for _ in sequences]
    ids = [placement.place(each).order_id for each in drafts]
    broker.drain()
    for order_id, sequence in zip(ids, sequences, strict=True):
        carry_out(order_id, books, sequence)
    broker.drain()
    for order_id, sequence in zip(ids, sequences, strict=True):
        charge = Charge.objects.get(order_id=order_id)
        assert charge.amount_minor == drafts[0].total_minor
        order = Order.objects.get(pk=order_id)
        cancelled, returned = prices.money_back(order, list(order.lines.all()))
        assert charge.refunded_minor == cancelled + returned
        if sequence is not sequences[2]:
            assert charge.refunded_minor == charge.amount_minor, "with the last copy, shipping went back too"
    assert broken() == {}


def carry_out(order_id: uuid.UUID, books: list[Any], sequence: list[Any]) -> None:
    """These acts, the cancellations before the parcel leaves."""
    for module, which, copies in sequence:
        units = {books[which].isbn: copies}
        with transaction.atomic():
            if module is cancellation:
                cancellation.cancel_lines(order_id=order_id, units=units, reason="why not", by="ada")
    with transaction.atomic():
        parcels.ship(order_ids=[order_id], by="ada")
    for module, which, copies in sequence:
        with transaction.atomic():
            if module is returns:
                returns.accept_return(order_id=order_id, units={books[which].isbn: copies}, reason=f"{which}", by="ada")


def draft(books: list[Any], coupon: Coupon, *, flow: str, is_added: bool) -> placement.Draft:
    """Three copies of each, with a discount, shipping and tax that leave odd cents everywhere."""
    lines = tuple(
        placement.DraftLine(sku=book.isbn, title=book.title, unit_price_minor=book.price_minor, quantity=3)
        for book in books
    )
    terms = placement.Terms(
        discount_minor=coupon.discount_minor(3 * (999 + 333)),
        shipping_minor=477,
        shipping_method="Standard",
        tax=Tax(books_ppm=88_750, shipping_ppm=70_000, is_added=is_added),
    )
    return orders.draft(
        lines=lines,
        flow=flow,
        terms=terms,
        coupon_code=coupon.code,
        claim=coupons.claim_of(coupon, user_id=None, email=CONTACT["email"]),
    )


def test_an_order_without_a_coupon_is_one_statement_still() -> None:
    """Shipping and tax add nothing to the way of a click."""
    book = a_book()
    line = placement.DraftLine(sku=book.isbn, title="A", unit_price_minor=1000, quantity=1)
    plain = orders.draft(lines=(line,), terms=placement.Terms(shipping_minor=5, tax=Tax(books_ppm=70_000)))
    with CaptureQueriesContext(connection) as queries:
        placement._commit([plain])
    assert len(queries) == 1


def test_without_the_database_the_form_is_kept_also_by_a_process_that_has_just_begun(
    client: Client, request: pytest.FixtureRequest
) -> None:
    put_in_cart(client, a_book())
    form = checkout_form(client, coupon="SPRING")
    rates.forget()
    request.getfixturevalue("database_away")
    response = client.post("/checkout/", form)
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert 'value="SPRING"' in response.content.decode()
