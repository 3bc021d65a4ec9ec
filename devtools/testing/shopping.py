"""Ordering in a real browser, as a guest does."""

import re

from playwright.sync_api import Page, expect

from devtools.testing.storefront import CONTACT

FINAL_MS = 30_000
# Notes each status as the page gets it; a reload would lose the notes.
NOTE_STATUSES = """() => {
  const order = document.querySelector("[data-order]");
  window.seen = [order.dataset.status];
  new MutationObserver(() => {
    if (window.seen.at(-1) !== order.dataset.status) window.seen.push(order.dataset.status);
  }).observe(order, { attributes: true });
}"""


def fill_cart(page: Page, title: str) -> None:
    """Find a book and press Buy now."""
    page.goto("/")
    page.get_by_role("searchbox").fill(title)
    page.get_by_role("searchbox").press("Enter")
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
    page.wait_for_url("**/orders/*/?key=*")
    found = re.search(r"/orders/([0-9a-f-]{36})/", page.url)
    assert found
    return found.group(1)


def order(page: Page, title: str, card: str = "Card that works") -> str:
    """Buy one copy as a guest; returns the order's id."""
    fill_cart(page, title)
    fill_form(page, card)
    return place_order(page)
