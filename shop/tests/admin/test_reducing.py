"""Cancelling some copies of an order on its page."""

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from devtools.testing.shop.admin_desk import ORDERS, act, confirmed, place, run, text_of, told
from devtools.testing.shop.orders import draft
from devtools.testing.shop.storefront import a_book
from events import catalogue
from inventory.models import Stock
from kafka_bridge import testing
from orders import links
from orders.models import Order, Status
from orders.placing import placement
from payments.models import Refund
from shop.admin.orders import timeline
from shop.models import Book

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]


@pytest.fixture
def other() -> Book:
    """Another book of which there is enough."""
    return a_book(stock=50, title="Salt and Starlight")


@pytest.fixture
def order(book: Book, other: Book) -> Order:
    """A confirmed order of three copies of one book and one of the other."""
    lines = tuple(
        placement.DraftLine(sku=b.isbn, title=b.title, unit_price_minor=b.price_minor, quantity=n)
        for b, n in ((book, 3), (other, 1))
    )
    order_id = placement.place(draft(lines=lines)).order_id
    run()
    return Order.objects.get(pk=order_id)


def reduce(client: Client, order: Order, copies: dict[str, Any], reason: str = "a page is missing") -> Any:
    """Send the form."""
    data = {**{f"copies_{sku}": str(n) for sku, n in copies.items()}, "reason": reason}
    return client.post(f"{ORDERS}{order.pk}/reduce/", data, follow=True)


def everything() -> tuple[Any, ...]:
    """All that a cancellation could change."""
    return list(Order.objects.values()), list(Stock.objects.values()), testing.stated(), LogEntry.objects.count()


def test_some_copies_are_cancelled_on_the_page_of_the_order(
    order: Order, book: Book, other: Book, admin_client: Client
) -> None:
    page = f"{ORDERS}{order.pk}/change/"
    assert f"{ORDERS}{order.pk}/reduce/" in text_of(admin_client.get(page))
    form = text_of(admin_client.get(f"{ORDERS}{order.pk}/reduce/"))
    for words in (book.title, other.title, "0 to 3", "0 to 1", "order.reduced is stated"):
        assert words in form, words

    response = reduce(admin_client, order, {book.isbn: 2, other.isbn: ""})
    assert told(response) == [f"2 copies of {order.reference} cancelled; $25.00 will be refunded."]
    (fact,) = testing.stated(catalogue.OrderReduced)
    assert isinstance(fact, catalogue.OrderReduced)
    assert (fact.amount_minor, fact.reason, fact.reduction) == (2500, "a page is missing", 1)
    assert LogEntry.objects.get().change_message == "Cancelled 2 copies: a page is missing"
    run()
    order.refresh_from_db()
    assert (order.status, order.total_minor) == (Status.PAID, 2500)
    assert (Stock.objects.get(sku=book.isbn).free, Stock.objects.get(sku=other.isbn).free) == (49, 49)
    assert (Refund.objects.get().amount_minor, Refund.objects.get().state) == (2500, "succeeded")

    shown = text_of(admin_client.get(page))
    for words in (
        '<s class="br-gone">3</s> 1 × $12.50', "2 cancelled", "Refund for cancelled copies", "<strong>$25.00</strong>",  # noqa: RUF001
        "by admin: a page is missing (25.00 USD back", "Part of the order cancelled",
    ):  # fmt: skip
        assert words in shown, words
    moments = {m.row.type: m for m in timeline.moments_of(order) if m.row}
    reduced = moments["order.reduced"]
    assert reduced.entry is not None
    assert (reduced.entry.what, reduced.missing) == ("reduced", [])
    assert moments["payment.refunded"].entry is not None


def test_the_buyer_sees_what_was_cancelled(order: Order, book: Book, other: Book, admin_client: Client) -> None:
    address = f"/orders/{order.pk}/?key={links.key_for(order.pk)}"
    assert 'data-reductions="0"' in Client().get(address).content.decode()
    reduce(admin_client, order, {other.isbn: 1, book.isbn: 1})
    run()
    page = text_of(Client().get(address))
    assert 'data-reductions="1"' in page
    assert re.findall(r'data-code="(\w+)" data-state="(\w+)"', page) == [
        ("placed", "done"), ("held", "done"), ("paid", "done"), ("confirmed", "done"), ("reduced", "done"),
        ("part_refunded", "done"), ("shipped", "current"), ("delivered", "waiting"),
    ]  # fmt: skip
    receipt = page.split('<section class="receipt"')[1].split("</table>")[0]
    amounts = re.findall(r"\$[\d.]+(?=</td>\s*</tr>)", receipt)
    assert amounts == ["$25.00", "$0.00", "$25.00", "$25.00"], "two lines, what goes back, the total"
    assert (receipt.count("1 cancelled"), receipt.count("<s>")) == (2, 3)


@pytest.mark.parametrize(
    ("copies", "reason", "words"),
    [
        ({}, "x", "Enter how many copies to cancel"),
        ({0: 0, 1: 0}, "x", "Enter how many copies to cancel"),
        ({0: 4}, "x", "less than or equal to 3"),
        ({0: -1}, "x", "greater than or equal to 0"),
        ({0: 3, 1: 1}, "x", "cancel the whole order instead"),
        ({0: 1}, " ", "This field is required"),
    ],
)
def test_what_makes_no_sense_is_refused(
    order: Order, book: Book, other: Book, admin_client: Client, copies: dict[int, int], reason: str, words: str
) -> None:
    before = everything()
    skus = [book.isbn, other.isbn]
    assert words in text_of(reduce(admin_client, order, {skus[n]: units for n, units in copies.items()}, reason))
    assert everything() == before


def test_it_is_offered_only_where_it_is_possible(order: Order, book: Book, admin_client: Client) -> None:
    single, pending = confirmed(book), Order.objects.get(pk=place(book, quantity=3))
    act(admin_client, "ship", order.pk)
    before = everything()
    for case, sentence in (
        (order, "It is shipped already."),
        (single, "It has one copy left; cancel the whole order instead."),
        (pending, "It is not confirmed yet."),
    ):
        assert "/reduce/" not in text_of(admin_client.get(f"{ORDERS}{case.pk}/change/"))
        assert sentence in text_of(admin_client.get(f"{ORDERS}{case.pk}/reduce/"))
        reduce(admin_client, case, {book.isbn: 1})
    assert everything() == before


def test_who_may_only_look_cancels_nothing(order: Order, book: Book, viewer: Client) -> None:
    before = everything()
    assert "/reduce/" not in viewer.get(f"{ORDERS}{order.pk}/change/").content.decode()
    assert viewer.get(f"{ORDERS}{order.pk}/reduce/").status_code == 403
    assert reduce(viewer, order, {book.isbn: 1}).status_code == 403
    assert Client().post(f"{ORDERS}{order.pk}/reduce/", {}).status_code == 302
    assert everything() == before
