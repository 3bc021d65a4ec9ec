"""The admin in a real browser: its scripts do their part, and nothing sticks out on a telephone."""

import pytest
from playwright.sync_api import Page, expect

from kafka_bridge import catalogue, testing
from kafka_bridge.tests.events import cancelled
from kafka_bridge.tests.letters import a_letter, parked
from orders.models import Order
from shop.models import Book
from shop.tests.admin.desk import BOOKS, ORDERS, STOCK, confirmed, place, run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
OUTBOX = "/admin/kafka_bridge/outboxrow/"
LETTERS = "/admin/kafka_bridge/deadletter/"


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

    expect(desk.get_by_text(f"2 copies of {order.reference} cancelled; $25.00 go back.")).to_be_visible()
    assert [event.key for event in testing.stated(catalogue.OrderReduced)] == [str(order.pk)]


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
    pages += ["/admin/", OUTBOX, f"{ORDERS}act/cancel/?order={Order.objects.latest('placed_at').pk}"]
    for path in pages:
        desk.goto(path)
        wider = desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, path


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
