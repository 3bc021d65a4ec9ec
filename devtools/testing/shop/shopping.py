"""Ordering in a real browser, as a guest does; and a shop that has the copies for it."""

import re

from playwright.sync_api import Page, expect

from devtools.testing.processes import Shop
from devtools.testing.shop.storefront import CONTACT

FINAL_MS = 30_000
# Notes each status as the page gets it; a reload would lose the notes.
NOTE_STATUSES = """() => {
  const order = document.querySelector("[data-order]");
  window.seen = [order.dataset.status];
  new MutationObserver(() => {
    if (window.seen.at(-1) !== order.dataset.status) window.seen.push(order.dataset.status);
  }).observe(order, { attributes: true });
}"""


LAST_UNIT = """
from django.db import transaction
from inventory import queries, stock_adjustments
from shop.models import Book
sku = Book.objects.get(title={title!r}).isbn
with transaction.atomic():
    change = 1 - queries.free_by_pool([sku])[sku]
    if change:
        stock_adjustments.correct(sku=sku, change=change, reason="one is left", by="test")
"""


def leave_one_copy(shop: Shop, title: str) -> None:
    """Exactly one copy of this book is free, whatever tests before this one have bought."""
    shop.manage("shell", "--no-imports", "-c", LAST_UNIT.format(title=title))


def fill_cart(page: Page, title: str) -> None:
    """Find a book and press Buy now."""
    page.goto("/")
    page.locator("#search").fill(title)
    page.locator("#search").press("Enter")
    page.get_by_role("link", name=title).last.click()
    page.get_by_role("button", name="Buy now").click()
    expect(page.get_by_role("heading", name="Checkout")).to_be_visible()


def fill_form(page: Page, card: str = "Card that works") -> None:
    """Everything that the checkout asks for."""
    for name in ("name", "email", "address_line1", "postcode", "city"):
        page.locator(f"[name={name}]").fill(CONTACT[name])
    page.get_by_label("Country").select_option(CONTACT["country"])
    page.get_by_text(card, exact=True).click()


def place_order(page: Page) -> str:
    """Press the button; returns the order's id once its page is there."""
    page.get_by_role("button", name="Place order").click()
    page.wait_for_url(re.compile(r"/orders/[0-9a-f-]{36}/"))
    found = re.search(r"/orders/([0-9a-f-]{36})/", page.url)
    assert found
    return found.group(1)


def order(page: Page, title: str, card: str = "Card that works") -> str:
    """Buy one copy as a guest; returns the order's id."""
    fill_cart(page, title)
    fill_form(page, card)
    return place_order(page)
