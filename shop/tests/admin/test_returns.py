"""Paying copies back after they have left, with or without a wish of the buyer; and declining it."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from devtools.testing.shop.admin_desk import ORDERS, act, confirmed, run, text_of, told
from devtools.testing.shop.orders import draft
from devtools.testing.shop.storefront import a_book
from events import catalogue
from kafka_bridge import testing
from orders.models import Order, OrderLine, ReturnRequest
from orders.placing import placement
from payments.models import Charge, Refund
from shop.models import AuditEntry, Book

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
RETURNS = "/admin/orders/returnrequest/"


@pytest.fixture
def other() -> Book:
    """Another book of which there is enough."""
    return a_book(stock=50, title="Salt and Starlight")


@pytest.fixture
def order(book: Book, other: Book, admin_client: Client) -> Order:
    """An order of three copies of one book and one of the other, which has been shipped."""
    lines = tuple(
        placement.DraftLine(sku=b.isbn, title=b.title, unit_price_minor=b.price_minor, quantity=n)
        for b, n in ((book, 3), (other, 1))
    )
    order_id = placement.place(draft(lines=lines)).order_id
    run()
    act(admin_client, "ship", order_id)
    return Order.objects.get(pk=order_id)


def wish(order: Order, units: dict[str, int]) -> ReturnRequest:
    """The buyer asks to return these."""
    return ReturnRequest.objects.create(order=order, units=units, reason="the pages are upside down")


def page(order: Order) -> str:
    """Where copies of the order are paid back."""
    return f"{RETURNS}refund/{order.pk}/"


def send(client: Client, order: Order, copies: dict[str, Any], *, confirmed: str = "", reason: str = "torn") -> Any:
    """Send the form."""
    data = {f"copies_{sku}": str(n) for sku, n in copies.items()}
    return client.post(page(order), {**data, "reason": reason, "confirmed": confirmed}, follow=True)


def everything() -> tuple[Any, ...]:
    """All that paying back could change."""
    return (
        list(Order.objects.values()),
        list(OrderLine.objects.values()),
        list(ReturnRequest.objects.values()),
        list(Refund.objects.values()),
        testing.stated(),
        LogEntry.objects.count(),
        AuditEntry.objects.count(),
    )


def test_copies_are_paid_back_once_the_sum_was_seen(
    order: Order, book: Book, other: Book, admin_client: Client
) -> None:
    assert f'href="{page(order)}"' in text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    form = text_of(admin_client.get(page(order)))
    for words in (book.title, other.title, "of 3", "of 1", "<strong>$50.00</strong> paid", "order.returned is stated"):
        assert words in form, words
    before = everything()
    asked = text_of(send(admin_client, order, {book.isbn: 2}))
    assert "<strong>$25.00</strong> go back to the buyer; $25.00 stay with the shop." in asked
    assert 'name="confirmed" value="2500">Refund $25.00</button>' in asked
    assert everything() == before, "so far it was only worked out"

    response = send(admin_client, order, {book.isbn: 2}, confirmed="2500")
    assert told(response) == [f"2 copies of {order.reference} refunded; the buyer gets $25.00 back."]
    (fact,) = testing.stated(catalogue.OrderReturned)
    assert isinstance(fact, catalogue.OrderReturned)
    assert (fact.order_id, fact.amount_minor, fact.reason, fact.number) == (order.pk, 2500, "torn", 1)
    assert [(line.sku, line.quantity) for line in fact.lines] == [(book.isbn, 2)]
    run()
    assert (Refund.objects.get().amount_minor, Refund.objects.get().state) == (2500, "succeeded")
    assert Charge.objects.get().refunded_minor == 2500
    entry = AuditEntry.objects.get(what="copies paid back")
    assert (entry.who, entry.subject, entry.order_id, entry.reason) == ("admin", order.reference, order.pk, "torn")
    assert entry.before == {"copies paid back": {book.isbn: 0, other.isbn: 0}, "money_paid_back_minor": 0}
    assert entry.after == {"copies paid back": {book.isbn: 2, other.isbn: 0}, "money_paid_back_minor": 2500}
    assert LogEntry.objects.latest("pk").change_message == "Paid back 2 copies: torn"
    shown = text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    for words in ("2 paid back", "Of that, paid back for returned copies", "$25.00 of it went back, or are on the way"):
        assert words in shown, words


def test_the_whole_order_is_paid_back(order: Order, book: Book, other: Book, admin_client: Client) -> None:
    form = admin_client.get(f"{page(order)}?all").context["form"]
    assert (form.initial[f"copies_{book.isbn}"], form.initial[f"copies_{other.isbn}"]) == (3, 1)
    send(admin_client, order, {book.isbn: 3, other.isbn: 1}, confirmed="5000")
    run()
    assert [refund.amount_minor for refund in Refund.objects.all()] == [5000]
    assert page(order) not in text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    assert "All of its copies have been refunded already." in text_of(admin_client.get(page(order)))


def test_what_the_buyer_asks_for_is_filled_in_and_accepted(
    order: Order, book: Book, other: Book, admin_client: Client
) -> None:
    asked = wish(order, {book.isbn: 2})
    words = text_of(admin_client.get(f"{ORDERS}{order.pk}/change/"))
    assert f"The buyer asks to return 2 × {book.title} and is waiting for an answer." in words  # noqa: RUF001
    assert f"{RETURNS}{asked.pk}/decline/" in words
    response = admin_client.get(page(order))
    assert "the pages are upside down" in text_of(response)
    form = response.context["form"]
    assert form.initial == {f"copies_{book.isbn}": 2, "reason": "the pages are upside down"}

    send(admin_client, order, {book.isbn: 1}, confirmed="1250", reason="one of them is torn")
    asked.refresh_from_db()
    assert (asked.state, asked.answered_by) == (ReturnRequest.State.ACCEPTED, "admin")
    assert AuditEntry.objects.latest("id").what == "return accepted"
    assert [fact.key for fact in testing.stated(catalogue.OrderReturned)] == [str(order.pk)]


def test_a_wish_is_declined_with_an_answer(order: Order, book: Book, admin_client: Client) -> None:
    asked = wish(order, {book.isbn: 2})
    before = everything()
    decline = f"{RETURNS}{asked.pk}/decline/"
    assert f"2 × {book.title}" in text_of(admin_client.get(decline))  # noqa: RUF001
    assert "This field is required" in text_of(admin_client.post(decline, {"answer": " "}))
    assert everything() == before

    response = admin_client.post(decline, {"answer": "They were sold as they are."}, follow=True)
    assert told(response) == [f"The return request for {order.reference} was declined. The buyer gets an email."]
    asked.refresh_from_db()
    assert (asked.state, asked.answer, asked.answered_by) == ("declined", "They were sold as they are.", "admin")
    entry = AuditEntry.objects.latest("id")
    assert (entry.what, entry.reason) == ("return declined", "They were sold as they are.")
    assert entry.before == {"return": "Asked for", "copies": {book.isbn: 2}}
    assert entry.after == {"return": "Declined", "copies": {book.isbn: 2}}
    assert Refund.objects.count() == 0
    assert "It is declined already." in text_of(admin_client.get(decline))
    after = everything()
    admin_client.post(decline, {"answer": "again"})
    assert everything() == after


@pytest.mark.parametrize(
    ("copies", "confirmed", "reason", "words"),
    [
        (None, "", "x", "Enter how many copies to refund, for at least one book."),
        (4, "5000", "x", "less than or equal to 3"),
        (-1, "-1250", "x", "greater than or equal to 0"),
        (1, "1250", " ", "This field is required"),
        (2, "1250", "x", "<strong>$25.00</strong> go back"),
        (1, "nonsense", "x", "<strong>$12.50</strong> go back"),
    ],
)
def test_nothing_goes_back_without_a_sum_that_was_confirmed(
    order: Order, book: Book, admin_client: Client, copies: int | None, confirmed: str, reason: str, words: str
) -> None:
    before = everything()
    given = {} if copies is None else {book.isbn: copies}
    assert words in text_of(send(admin_client, order, given, confirmed=confirmed, reason=reason))
    assert everything() == before


def test_no_more_goes_back_than_is_left_of_what_was_paid(order: Order, book: Book, admin_client: Client) -> None:
    Charge.objects.update(refunded_minor=4000)
    before = everything()
    words = text_of(send(admin_client, order, {book.isbn: 1}, confirmed="1250"))
    assert "Only $10.00 can still be refunded, and these copies cost more." in words
    assert everything() == before


def test_it_is_offered_only_for_what_has_left(order: Order, book: Book, admin_client: Client) -> None:
    paid, over = confirmed(book), confirmed(book)
    act(admin_client, "cancel", over.pk, reason="recall")
    before = everything()
    for case, sentence in (
        (paid, "It has not been shipped yet; cancel it, or some of its copies, instead."),
        (over, "It is cancelled; it is refunded in full automatically."),
    ):
        assert page(case) not in text_of(admin_client.get(f"{ORDERS}{case.pk}/change/"))
        assert sentence in text_of(admin_client.get(page(case)))
        send(admin_client, case, {book.isbn: 1}, confirmed="1250")
    assert everything() == before


def test_who_may_only_look_pays_nothing_back(order: Order, book: Book, viewer: Client) -> None:
    asked = wish(order, {book.isbn: 1})
    before = everything()
    shown = viewer.get(f"{ORDERS}{order.pk}/change/").content.decode()
    assert page(order) not in shown
    assert "/decline/" not in shown
    assert "Refund…" not in viewer.get(f"{RETURNS}{asked.pk}/change/").content.decode()
    for client, code in ((viewer, 403), (Client(), 302)):
        for path in (page(order), f"{RETURNS}{asked.pk}/decline/"):
            assert client.get(path).status_code == code
            data = {f"copies_{book.isbn}": "1", "reason": "x", "confirmed": "1250", "answer": "no"}
            assert client.post(path, data).status_code == code
    assert everything() == before


def test_the_list_shows_open_wishes_first(order: Order, book: Book, admin_client: Client) -> None:
    first = wish(order, {book.isbn: 1})
    admin_client.post(f"{RETURNS}{first.pk}/decline/", {"answer": "no"})
    second = wish(order, {book.isbn: 2, "gone": 1})
    admin_client.post(f"{RETURNS}{second.pk}/decline/", {"answer": "no"})
    third = wish(order, {book.isbn: 3})
    assert [row.pk for row in admin_client.get(RETURNS).context["cl"].result_list] == [third.pk, second.pk, first.pk]
    for words in (order.reference, str(order.pk)):
        assert len(admin_client.get(RETURNS, {"q": words}).context["cl"].result_list) == 3
    listed = text_of(admin_client.get(RETURNS))
    assert f"<div>2 × {book.title}</div>" in listed  # noqa: RUF001
    assert "<div>1 × gone</div>" in listed, "a line that is not there is called by its number"  # noqa: RUF001
    assert f'href="{page(order)}"' in text_of(admin_client.get(f"{RETURNS}{third.pk}/change/"))
