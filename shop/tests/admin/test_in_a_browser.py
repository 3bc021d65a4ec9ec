"""The admin in a real browser: its scripts do their part, and nothing sticks out on a telephone."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from kafka_bridge import catalogue, testing
from orders.models import Order
from shop.models import Book
from shop.tests.admin.desk import BOOKS, ORDERS, STOCK, confirmed, place, run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
OUTBOX = "/admin/kafka_bridge/outboxrow/"


@pytest.fixture(params=[("light", 1280), ("dark", 390)], ids=lambda p: f"{p[0]}-{p[1]}")
def desk(request: pytest.FixtureRequest, browser: Browser, live_server: Any) -> Iterator[Page]:
    """A page of staff who have just signed in; scripts must run without errors."""
    User.objects.create_superuser("boss", password="secret")
    scheme, width = request.param
    context = browser.new_context(
        base_url=live_server.url, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/admin/login/")
    page.locator("[name=username]").fill("boss")
    page.locator("[name=password]").fill("secret")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{live_server.url}/admin/")
    yield page
    context.close()
    assert errors == []


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


def test_the_start_page_reads_its_figures_again_by_itself(desk: Page, book: Book) -> None:
    orders_today = desk.locator(".br-figure", has_text="Orders today").locator(".br-figure-value")
    expect(orders_today).to_have_text("0")
    place(book)
    expect(orders_today).to_have_text("1", timeout=15_000)


def test_nothing_sticks_out(desk: Page, book: Book) -> None:
    order = confirmed(book)
    place(book)
    run(without="payments")
    pages = [ORDERS, f"{ORDERS}{order.pk}/change/", STOCK, f"{STOCK}receive/", BOOKS, f"{BOOKS}{book.pk}/change/"]
    pages += ["/admin/", OUTBOX, f"{ORDERS}act/cancel/?order={Order.objects.latest('placed_at').pk}"]
    for path in pages:
        desk.goto(path)
        wider = desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, path
