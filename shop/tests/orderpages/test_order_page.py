"""An order's page, and my orders."""

import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from devtools.testing.shop.storefront import a_book, api_order, checkout_form, put_in_cart
from orders import links, queries
from orders.models import Order, Status

pytestmark = pytest.mark.django_db(transaction=True)
REFRESH = '<noscript><meta http-equiv="refresh" content="3"></noscript>'


@pytest.fixture
def order(client: Client) -> Order:
    """A guest's order."""
    client.post("/api/orders/", json.dumps(api_order(a_book(title="Broth"))), content_type="application/json")
    return Order.objects.get()


def address(order: Order) -> str:
    """The link that the guest was given."""
    return f"/orders/{order.pk}/?key={links.key_for(order.pk)}"


def moved(order: Order, *statuses: Status, **fields: Any) -> None:
    """Bring the order somewhere."""
    for status in statuses:
        order.move_to(status, at=timezone.now())
    for name, value in fields.items():
        setattr(order, name, value)
    Order.objects.write([order])


def visible(page: str) -> list[str]:
    """Which of the next steps are shown."""
    return [when for when, hidden in re.findall(r'<div data-when="([A-Z ]+)" *(hidden)?', page) if not hidden]


def test_a_pending_order_is_complete_without_javascript(client: Client, order: Order) -> None:
    page = client.get(address(order)).content.decode()
    snapshot = queries.snapshot(order.pk)
    assert snapshot is not None
    assert re.findall(r'data-code="(\w+)" data-state="(\w+)"', page) == [
        (step.code, step.state) for step in snapshot.steps
    ]
    assert f"<h1 data-headline>{snapshot.headline}</h1>" in page
    assert snapshot.detail in page
    assert [text in page for text in (REFRESH, order.reference, "Broth", "1 Shelf Lane", "United States")] == [True] * 5
    assert visible(page) == ["PENDING PAID"]
    assert 'data-version="1"' in page


def test_a_delivered_order_rests_and_shows_its_numbers(client: Client, order: Order) -> None:
    moved(order, Status.PAID, payment_reference="sbx_1")
    moved(order, Status.SHIPPED)
    moved(order, Status.DELIVERED)
    page = client.get(address(order)).content.decode()
    assert REFRESH not in page
    assert "<dd>sbx_1</dd>" in page
    assert visible(page) == ["DELIVERED"]


def test_a_cancelled_order_says_why_and_can_be_tried_again(client: Client, order: Order) -> None:
    moved(order, Status.CANCELLED, cancel_reason="payment failed: card declined")
    page = client.get(address(order)).content.decode()
    assert "Your payment did not go through (card declined)." in page
    assert visible(page) == ["CANCELLED"]

    again = client.post(f"/orders/{order.pk}/again/?key={links.key_for(order.pk)}")
    assert again["Location"] == "/checkout/"
    assert [(line.sku, line.quantity) for line in client.get("/cart/").context["lines"]] == [
        (line.sku, line.quantity) for line in order.lines.all()
    ]


def test_strangers_see_the_same_404_whether_there_is_an_order_or_not(client: Client, order: Order) -> None:
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger"))
    nowhere = "00000000-0000-0000-0000-000000000000"
    for visitor in (Client(), stranger):
        answers = [
            visitor.get(path)
            for path in (
                f"/orders/{order.pk}/",
                f"/orders/{order.pk}/?key=wrong",
                f"/orders/{order.pk}/?key={links.key_for(nowhere)}",
                f"/orders/{nowhere}/",
                f"/orders/{order.pk}/fragment/",
                f"/orders/{order.pk}/fragment/?key=wrong",
            )
        ]
        assert {answer.status_code for answer in answers} == {404}
        # The forms of the page differ in their tokens alone.
        assert len({re.sub(r'value="\w{64}"', "", answer.content.decode()) for answer in answers}) == 1
        assert visitor.post(f"/orders/{order.pk}/again/").status_code == 404


def test_the_link_stays_out_of_caches_and_search_engines(client: Client, order: Order) -> None:
    response = client.get(address(order))
    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "same-origin"
    assert '<meta name="robots" content="noindex">' in response.content.decode()


def test_my_orders_are_mine(client: Client, order: Order) -> None:
    assert client.get("/orders/")["Location"] == "/sign-in/?next=/orders/"
    client.force_login(User.objects.create_user("reader"))
    assert "No orders yet" in client.get("/orders/").content.decode()
    put_in_cart(client, a_book())
    client.post("/checkout/", checkout_form(client))
    mine = Order.objects.exclude(pk=order.pk).get()
    assert list(client.get("/orders/").context["page"]) == [mine]
    assert client.get(f"/orders/{mine.pk}/").status_code == 200


def test_an_open_page_is_sent_the_order_alone_as_the_page_shows_it(client: Client, order: Order) -> None:
    def article(response: Any) -> str:
        """What the order's page shows of it; tokens differ each time."""
        page = re.sub(r'value="\w{64}"', "", response.content.decode())
        return page[page.index("<article") : page.index("</article>")]

    def fragment() -> Any:
        return client.get(address(order).replace("/?", "/fragment/?"))

    moves: list[tuple[Status, dict[str, Any]]] = [
        (Status.PAID, {"payment_reference": "sbx_1"}),
        (Status.SHIPPED, {}),
        (Status.DELIVERED, {}),
    ]
    for status, fields in moves:
        moved(order, status, **fields)
        found = fragment()
        assert found.content.decode().lstrip().startswith("<article")
        assert f'data-status="{status}"' in article(found)
        assert article(found) == article(client.get(address(order)))
    assert "no-store" in fragment()["Cache-Control"]


def test_the_fragment_never_says_an_older_order_than_its_version(
    client: Client, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = queries.snapshot

    def meanwhile(order_id: Any) -> Any:
        moved(Order.objects.get(pk=order_id), Status.CANCELLED, cancel_reason="a test")
        return real(order_id)

    monkeypatch.setattr(queries, "snapshot", meanwhile)
    page = client.get(address(order).replace("/?", "/fragment/?"))
    assert page.context["order"].version == page.context["snapshot"].version == 2
