"""The last unit and the flash sale, in front of open pages; with all of the shop's processes at work."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from devtools.testing.processes import Shop
from devtools.testing.shop import shopping
from devtools.testing.shop.buyers import Buyers

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow, pytest.mark.stock]

PATIENCE_MS = 30_000
# Records what a screen reader is told, and is lost if the page reloads.
NOTE_WORDS = """() => {
  window.said = [];
  const speaker = [...document.querySelectorAll("[role=status]")].at(-1);
  new MutationObserver(() => window.said.push(speaker.textContent)).observe(speaker, { childList: true });
}"""
PRESS = """at => {
  const button = [...document.querySelectorAll("button")].find(found => found.textContent.includes("Place order"));
  setTimeout(() => button.click(), at - Date.now());
}"""
SALE = """
import json
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from shop.flashsales import flash_sales
from shop.models import Book, FlashSale
book = Book.objects.get(title={title!r})
now = timezone.now()
with transaction.atomic():
    sale = FlashSale.objects.create(
        name={name!r}, starts_at=now + timedelta(seconds={starts_in}),
        ends_at=now + timedelta(seconds={starts_in} + {lasts}), hold_seconds=10,
    )
    sale.books.create(book=book, price_minor={price_minor}, units={units})
    flash_sales.set_aside(sale, by="test")
print(json.dumps({{"sku": book.isbn, "sale": sale.pk, "path": book.get_absolute_url()}}))
"""


@pytest.fixture
def context(context: BrowserContext) -> Iterator[BrowserContext]:
    """Its pages must run without errors and within the content security policy."""
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    context.on("console", lambda message: errors.append(message.text) if "Security Policy" in message.text else None)
    yield context
    assert errors == []


def shell(shop: Shop, code: str) -> str:
    """Run Python in the shop."""
    return shop.manage("shell", "--no-imports", "-c", code)


def a_sale(
    shop: Shop, title: str, *, starts_in: int, lasts: int = 600, units: int = 3, price_minor: int = 500
) -> dict[str, Any]:
    """A sale of one book, with its sku, path and sale."""
    code = SALE.format(
        title=title, name="Ten Minutes", starts_in=starts_in, lasts=lasts, units=units, price_minor=price_minor
    )
    found: dict[str, Any] = json.loads(shell(shop, code))
    return found


def end_sale(shop: Shop, sale: int) -> None:
    """The sale is over, for the tests that come after."""
    shell(
        shop,
        "from django.db import transaction\nfrom shop import models\nfrom shop.flashsales import flash_sales\n"
        "with transaction.atomic():\n"
        f"    flash_sales.end_now(models.FlashSale.objects.get(pk={sale}), by='test')",
    )


def sold(shop: Shop, title: str) -> int:
    """Units of a book that were ever sold."""
    [(units,)] = shop.query("SELECT sold FROM inventory_stock JOIN shop_book ON isbn = bin WHERE title = %s", title)
    return int(units)


def at_checkout(page: Page, title: str) -> None:
    """Everything is filled in; only the button is left."""
    shopping.fill_cart(page, title)
    shopping.fill_form(page)


@pytest.mark.parametrize(
    "round_number", [1, *(pytest.param(number, marks=pytest.mark.prove) for number in range(2, 6))]
)
def test_two_browsers_press_the_button_for_the_last_unit_at_once(
    browser: Browser, browser_context_args: dict[str, Any], running_shop: Shop, round_number: int
) -> None:
    for _ in range(3):
        contexts = [browser.new_context(**browser_context_args) for _ in range(2)]
        both_ordered = race(running_shop, [context.new_page() for context in contexts], "The Last Unit")
        for context in contexts:
            context.close()
        if both_ordered:
            return
    pytest.fail("on this machine, one of two clicks always came so late that the form itself said it was sold out")


def race(shop: Shop, pages: list[Page], title: str) -> bool:
    """Both press at once; one unit is sold. Returns whether both clicks became orders, or one heard it at the form."""
    shopping.leave_one_copy(shop, title)
    before = sold(shop, title)
    for page in pages:
        at_checkout(page, title)
    at = pages[0].evaluate("Date.now() + 1000")
    for page in pages:
        page.evaluate(PRESS, at)
    for page in pages:
        expect(page.locator("[data-order]").or_(page.get_by_text("is sold out."))).to_be_visible(timeout=PATIENCE_MS)
    ordered = [page for page in pages if page.locator("[data-order]").count()]
    for page in ordered:
        page.evaluate(shopping.NOTE_STATUSES)
    for page in ordered:
        expect(page.locator("[data-order]")).to_have_attribute("data-final", "true", timeout=PATIENCE_MS)
    assert sold(shop, title) == before + 1
    # The records are still there: the pages were updated, not reloaded.
    ends = {page.evaluate("window.seen.at(-1)"): page for page in ordered}
    assert ends.keys() == ({"DELIVERED", "CANCELLED"} if len(ordered) == 2 else {"DELIVERED"})
    if len(ordered) < 2:
        return False
    expect(ends["CANCELLED"].get_by_text("We are sorry: the last copies went to someone else.")).to_be_visible()
    expect(ends["DELIVERED"].get_by_role("heading", name="Delivered")).to_be_visible()
    return True


def test_a_sale_starts_sells_out_and_offers_what_comes_back_on_an_open_page(
    context: BrowserContext, running_shop: Shop
) -> None:
    page, shelf, front = (context.new_page() for _ in range(3))
    sale = a_sale(running_shop, "Slow Light", starts_in=8)
    try:
        shelf.goto("/?q=Slow+Light")
        front.goto("/")
        ticket = front.locator(".sale-ticket").filter(has_text="Slow Light")
        expect(ticket.get_by_text(re.compile("^from "))).to_be_visible()
        page.goto(sale["path"])
        panel, card = page.locator("[data-panel-url]"), shelf.locator(".card").first
        expect(panel).to_have_attribute("data-phase", "upcoming")
        expect(page.locator("[data-countdown]")).to_have_text(re.compile(r"^starts in 0:0\d$"))
        expect(panel.get_by_text("Live", exact=True)).to_be_visible()
        page.evaluate(NOTE_WORDS)
        page.get_by_label("Copies").fill("2")
        expect(card.locator(".ribbon")).to_have_count(0)

        # It starts.
        expect(panel).to_have_attribute("data-phase", "running", timeout=PATIENCE_MS)
        expect(panel.locator(".buy-price")).to_have_text(re.compile(r"^\s*\$5\.00"))
        expect(page.locator("[data-left-words]")).to_have_text("3 of 3 left")
        expect(page.locator("[data-countdown]")).to_have_text(re.compile(r"^ends in 9:5\d$"))
        expect(page.get_by_label("Copies")).to_have_value("2")
        expect(page.get_by_label("Copies")).to_be_focused()
        expect(card.locator(".ribbon")).to_have_text("Flash sale")
        expect(card.locator(".price")).to_have_text(re.compile(r"^\$5\.00"))

        expect(ticket.get_by_text("3 of 3 left")).to_be_visible()
        expect(ticket.get_by_text(re.compile("^from "))).to_be_hidden()

        # Others buy, and the last copy is held for a buyer who does not pay.
        buyers = Buyers(running_shop, sale["sku"])
        buyers.order(2)
        buyers.wait_for("DELIVERED")
        expect(page.locator("[data-left-words]")).to_have_text("1 of 3 left")
        expect(page.get_by_label("Copies")).to_have_attribute("max", "1")
        running_shop.stop("payments")
        held = Buyers(running_shop, sale["sku"])
        held.order(1)
        expect(page.locator("[data-left-words]")).to_have_text("Sold out")
        expect(page.get_by_role("button", name="Buy now")).to_have_count(0)
        expect(card.locator(".ribbon")).to_have_text("Sold out")

        # The hold runs out.
        held.wait_for("CANCELLED")
        expect(page.locator("[data-left-words]")).to_have_text("1 of 3 left")
        expect(page.get_by_role("button", name="Buy now")).to_be_enabled()
        expect(card.locator(".ribbon")).to_have_text("Flash sale")
        assert page.evaluate("window.said") == [
            "The sale has started: $5.00, 3 of 3 left.",
            "Sold out.",
            "Available again: 1 of 3 left.",
        ]
        page.get_by_label("Copies").fill("1")
        page.get_by_role("button", name="Buy now").click()
        expect(page.get_by_text("$5.00").first).to_be_visible()
    finally:
        running_shop.start("payments")
        end_sale(running_shop, sale["sale"])


@pytest.mark.prove
def test_without_the_socket_the_page_asks_when_the_sale_starts_and_ends(
    context: BrowserContext, running_shop: Shop
) -> None:
    running_shop.stop("live")
    sale = a_sale(running_shop, "Broth", starts_in=6, lasts=6)
    page = context.new_page()
    page.goto(sale["path"])
    panel = page.locator("[data-panel-url]")
    expect(panel).to_have_attribute("data-phase", "upcoming")
    expect(panel.get_by_text("Reconnecting…")).to_be_visible()
    expect(panel).to_have_attribute("data-phase", "running", timeout=PATIENCE_MS)
    expect(panel).to_have_attribute("data-phase", "over", timeout=PATIENCE_MS)
    running_shop.start("live")
    expect(panel.get_by_text("Live", exact=True)).to_be_visible(timeout=PATIENCE_MS)
