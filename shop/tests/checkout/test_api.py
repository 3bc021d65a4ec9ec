"""The JSON interface."""

import json
from typing import Any

import pytest
from django.test import Client

from devtools.testing.shop.storefront import CONTACT, a_book, api_order
from orders import links
from orders.models import Order
from shop.books import pricing
from shop.models import Book

pytestmark = pytest.mark.django_db(transaction=True)


def post(client: Client, body: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of an attempt to order."""
    text = body if isinstance(body, bytes) else json.dumps(body)
    response = client.post("/api/orders/", text, content_type="application/json")
    return response.status_code, response.json()


def test_an_order_is_placed_and_can_be_followed(client: Client, settings: Any) -> None:
    settings.LIVE_PORT = 8001
    book = a_book(price_minor=700)
    status, answer = post(client, api_order(book, 3))

    order = Order.objects.get()
    key = links.key_for(order.pk)
    assert (status, answer) == (
        201,
        {
            "order": str(order.pk),
            "reference": order.reference,
            "status_url": f"http://testserver/api/orders/{order.pk}/?key={key}",
            "live_url": f"ws://testserver:8001/live/orders/{order.pk}/?key={key}",
        },
    )
    assert {name: getattr(order, name) for name in CONTACT} == CONTACT
    assert (order.total_minor, order.payment_method) == (2100, "pm_success")
    snapshot = client.get(answer["status_url"]).json()
    assert (snapshot["order"], snapshot["status"], snapshot["version"]) == (str(order.pk), "PENDING", 1)


def test_the_same_key_gives_the_same_order_whatever_happened_to_prices(client: Client) -> None:
    book = a_book(stock=2)
    body = api_order(book, 2)
    first = post(client, body)
    Book.objects.update(price_minor=1)
    pricing.forget()
    again = post(client, body)
    assert (first[0], again[0]) == (201, 200)
    assert first[1] == again[1]
    assert Order.objects.get().total_minor == 2500


def test_other_contents_under_the_same_key_are_a_409(client: Client) -> None:
    book = a_book()
    body = api_order(book)
    post(client, body)
    for change in (
        {"city": "Elsewhere"},
        {"lines": [{"sku": book.isbn, "quantity": 2}]},
        {"payment_method": "pm_slow"},
    ):
        status, answer = post(client, {**body, **change})
        assert (status, answer["error"]["code"]) == (409, "idempotency_conflict")
    assert Order.objects.count() == 1


LINE = {"sku": "9795000000019", "quantity": 1}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "9795000000019", "quantity": 0}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "9795000000019", "quantity": -3}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "9795000000019", "quantity": 21}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "9795000000019", "quantity": "2"}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "9795000000019", "quantity": 1.5}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "9795000000019", "quantity": True}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "x", "quantity": 1}]}, "lines[0].sku"),
        ({"lines": [{"sku": "9795000000019"}]}, "lines[0].quantity"),
        ({"lines": [{"sku": "9795000000019", "quantity": 1}] * 2}, "lines"),
        ({"lines": [{"sku": "9795000000019", "quantity": 1, "price": 1}]}, "lines[0].price"),
        ({"lines": [{**LINE, "expected_price_minor": -1}]}, "lines[0].expected_price_minor"),
        ({"lines": [{**LINE, "expected_price_minor": 2**63 - 1}]}, "lines[0].expected_price_minor"),
        ({"lines": [{**LINE, "expected_price_minor": 10**40}]}, "lines[0].expected_price_minor"),
        ({"idempotency_key": "1"}, "idempotency_key"),
        ({"name": " "}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "n" * 121}, "name"),
        ({"email": "ada"}, "email"),
        ({"city": None}, "city"),
        ({"country": "XX"}, "country"),
        ({"payment_method": "gold"}, "payment_method"),
        ({"total_minor": 1}, "total_minor"),
    ],
)
def test_errors_name_the_field(client: Client, change: dict[str, Any], field: str) -> None:
    status, answer = post(client, {**api_order(a_book()), **change})
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (422, "invalid", field)
    assert Order.objects.count() == 0


def test_a_missing_field_is_named(client: Client) -> None:
    body = api_order(a_book())
    del body["postcode"]
    status, answer = post(client, body)
    assert (status, answer["error"]) == (
        422, {"code": "invalid", "message": "Object missing required field `postcode`.", "field": "postcode"},
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"name": "\\ud800"}'])
def test_what_is_no_json_is_a_400(client: Client, body: bytes) -> None:
    status, answer = post(client, body)
    assert (status, answer["error"]["code"]) == (400, "malformed")


@pytest.mark.parametrize("body", [b"[]", b"[" * 100_000, b"17", b'{"lines":' + b"[" * 100_000, b'{"name": "a" "b"}'])
def test_what_is_json_of_another_shape_is_refused(client: Client, body: bytes) -> None:
    status, answer = post(client, body)
    assert (status, answer["error"]["code"]) in {(422, "invalid"), (400, "malformed")}


def test_sold_out_and_unknown_books_are_told_at_once(client: Client) -> None:
    few = a_book(stock=1)
    body = api_order(few, 2)
    body["lines"].append({"sku": "9795999999997", "quantity": 1})
    status, answer = post(client, body)
    assert status == 422
    assert [(problem["code"], problem["sku"], problem["left"]) for problem in answer["error"]["problems"]] == [
        ("not_enough", few.isbn, 1),
        ("not_for_sale", "9795999999997", 0),
    ]
    assert Order.objects.count() == 0


def test_strangers_get_the_same_404_whether_there_is_an_order_or_not(client: Client) -> None:
    post(client, api_order(a_book()))
    order = Order.objects.get()
    answers = [
        client.get(address)
        for address in (
            f"/api/orders/{order.pk}/",
            f"/api/orders/{order.pk}/?key=wrong",
            f"/api/orders/{order.pk}/?key={links.key_for('00000000-0000-0000-0000-000000000000')}",
            "/api/orders/00000000-0000-0000-0000-000000000000/?key=%00",
        )
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}


def test_other_methods_are_refused(client: Client) -> None:
    assert client.get("/api/orders/").status_code == 405
