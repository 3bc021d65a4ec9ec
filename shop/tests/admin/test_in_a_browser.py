"""The admin in a real browser: its scripts do their part, and nothing sticks out on a telephone."""

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Page, expect

from devtools.testing.bridge.bridge_events import cancelled
from devtools.testing.bridge.dead_letters import a_letter, parked
from devtools.testing.shop.admin_desk import BOOKS, ORDERS, STOCK, confirmed, place, run
from events import catalogue
from kafka_bridge import testing
from orders.actions import parcels, returns
from orders.models import Order
from payments.models import Charge, Review
from shop.models import AuditEntry, Book
from shop.operations import activity_log

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
OUTBOX = "/admin/kafka_bridge/outboxrow/"
LETTERS = "/admin/kafka_bridge/deadletter/"
_CUT_OFF = """[...document.querySelectorAll("#result_list td")]
    .filter(cell => cell.scrollHeight > cell.clientHeight + 2).map(cell => cell.textContent.trim())"""


def test_an_order_is_cancelled_from_the_list(desk: Page, book: Book) -> None:
    order = confirmed(book)
    desk.goto(ORDERS)
    desk.locator(f"input.action-select[value='{order.pk}']").check()
    desk.get_by_label("Select action to run").select_option("cancel_selected")
    desk.get_by_role("button", name="Run", exact=True).click()
    desk.get_by_label("Reason").fill("the buyer asked for it")
    desk.get_by_role("button", name="Cancel 1 order").click()

    expect(desk.get_by_text(f"1 order cancelled: {order.reference}.")).to_be_visible()
    assert [event.key for event in testing.stated(catalogue.OrderCancelled)] == [str(order.pk)]


def test_some_copies_are_cancelled_on_the_page_of_the_order(desk: Page, book: Book) -> None:
    order = confirmed(book, quantity=3)
    desk.goto(f"{ORDERS}{order.pk}/change/")
    desk.get_by_role("link", name="Cancel some copies…").click()
    desk.get_by_label(book.title).fill("2")
    desk.get_by_label("Reason").fill("a page is missing")
    desk.get_by_role("button", name="Cancel these copies").click()

    expect(desk.get_by_text(f"2 copies of {order.reference} cancelled; $25.00 will be refunded.")).to_be_visible()
    assert [event.key for event in testing.stated(catalogue.OrderReduced)] == [str(order.pk)]


@pytest.mark.money
def test_a_return_is_paid_back_once_the_sum_was_seen(desk: Page, book: Book) -> None:
    order = shipped_with_a_wish(book)
    desk.goto(f"{ORDERS}{order.pk}/change/")
    desk.get_by_role("link", name="Refund…").click()
    expect(desk.get_by_label(book.title)).to_have_value("2")
    desk.get_by_label(book.title).fill("1")
    desk.get_by_label("Reason").press("Enter")
    desk.get_by_label(book.title).fill("2")
    desk.get_by_label("Reason").press("Enter")
    expect(desk.locator("#sum")).to_contain_text("$25.00 go back to the buyer")
    assert testing.stated(catalogue.OrderReturned) == [], "another sum was seen than was sent"
    desk.get_by_role("button", name="Refund $25.00").click()

    expect(desk.get_by_text(f"2 copies of {order.reference} refunded; the buyer gets $25.00 back.")).to_be_visible()
    assert [event.key for event in testing.stated(catalogue.OrderReturned)] == [str(order.pk)]


def shipped_with_a_wish(book: Book) -> Order:
    """An order that has left, and of which the buyer asks to return two copies."""
    order = confirmed(book, quantity=3)
    with transaction.atomic():
        parcels.ship(order_ids=[order.pk], by="ada")
        returns.ask_return(order_id=order.pk, units={book.isbn: 2}, reason="the pages are upside down")
    return order


def test_the_start_page_reads_its_figures_again_by_itself(desk: Page, book: Book) -> None:
    orders_today = desk.locator(".br-figure", has_text="Orders today").locator(".br-figure-value")
    expect(orders_today).to_have_text("0")
    place(book)
    expect(orders_today).to_have_text("1", timeout=15_000)


def test_nothing_sticks_out(desk: Page, book: Book) -> None:
    order = confirmed(book)
    place(book)
    run(without="payments")
    pages = [
        ORDERS,
        f"{ORDERS}{order.pk}/change/",
        STOCK,
        f"{STOCK}{book.isbn}/change/",
        BOOKS,
        f"{BOOKS}{book.pk}/change/",
    ]
    pages += [f"{STOCK}receive/", f"{STOCK}correct/?sku={book.isbn}", f"{ORDERS}{order.pk}/reduce/"]
    pages += money_pages(book, order)
    pages += ["/admin/", OUTBOX, f"{ORDERS}act/cancel/?order={Order.objects.latest('placed_at').pk}"]
    for path in pages:
        desk.goto(path)
        wider = desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, path
        assert desk.evaluate(_CUT_OFF) == [], path


def money_pages(book: Book, order: Order) -> list[str]:
    """Those about money: with a charge whose outcome is unknown, a wish of a buyer, and an act in the log."""
    sent, charge = shipped_with_a_wish(book), Charge.objects.get(order_id=order.pk)
    Charge.objects.filter(pk=charge.pk).update(
        state=Charge.State.CAPTURING, unknown_since=timezone.now(), last_error="the gateway did not answer in time"
    )
    words = f"charge {charge.pk}: 12.50 USD captured, but 0.00 USD by the gateway's books"
    review = Review.objects.create(
        kind=Review.Kind.MISMATCH, subject=str(charge.pk), charge=charge, order_id=order.pk, detail=words
    )
    with transaction.atomic():
        activity_log.record(
            user=None, what="copies paid back", subject=sent.reference, order_id=sent.pk, reason="torn",
            before={"copies paid back": {book.isbn: 0}, "money_paid_back_minor": 0},
            after={"copies paid back": {book.isbn: 2}, "money_paid_back_minor": 2500},
        )  # fmt: skip
    returns, wish = "/admin/orders/returnrequest/", sent.return_requests.get()
    reviews, charges, log = "/admin/payments/review/", "/admin/payments/charge/", "/admin/shop/auditentry/"
    return [
        f"{ORDERS}{sent.pk}/change/", returns, f"{returns}{wish.pk}/change/", f"{returns}refund/{sent.pk}/",
        f"{returns}{wish.pk}/decline/", reviews, f"{reviews}{review.pk}/change/", f"{reviews}close/?review={review.pk}",
        charges, f"{charges}{charge.pk}/change/", "/admin/payments/gatewaynotice/", log,
        f"{log}{AuditEntry.objects.get().pk}/change/",
    ]  # fmt: skip


def test_a_dead_letter_is_edited_and_sent_again(desk: Page) -> None:
    event = cancelled()
    letter = a_letter(event, error=f"ValueError: the order {event.order_id} has no total; " + "x" * 120)
    parked(letter, cancelled(event.order_id))
    for path in (LETTERS, f"{LETTERS}kinds/", f"{LETTERS}act/redrive/?kind={letter.fingerprint}"):
        desk.goto(path)
        wider = desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, path
    desk.goto(f"{LETTERS}{letter.pk}/change/")
    expect(desk.get_by_text("Behind it 1 message waits and would follow.")).to_be_visible()
    assert desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    desk.get_by_role("link", name="Edit and send again…").click()
    assert desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    body = desk.get_by_label("Body")
    body.fill(body.input_value().replace('"test"', '"mended"'))
    desk.get_by_label("Reason").fill("the reason was wrong")
    desk.get_by_role("button", name="Save and send again").click()

    expect(desk.get_by_text("1 letter sent again.")).to_be_visible()
    expect(desk.get_by_role("heading", name="Body as edited")).to_be_visible()
