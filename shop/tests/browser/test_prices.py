"""B1: a price that changes in the admin is shown where it stands, told to screen readers, and asked about before it is
charged; and the change is an event that analytics hears."""

import pytest
from playwright.sync_api import Browser, Page, expect

from devtools.testing.processes import Shop
from devtools.testing.shop import shopping

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.window, pytest.mark.slow]
TITLE = "Broth"
SOON_MS = 60_000


def test_a_new_price_reaches_the_open_book_cart_and_checkout(page: Page, browser: Browser, running_shop: Shop) -> None:
    [(isbn, minor)] = running_shop.query("SELECT isbn, price_minor FROM shop_book WHERE title = %s", TITLE)
    old, new = f"${minor / 100:.2f}", f"${(minor + 111) / 100:.2f}"
    shopping.fill_cart(page, TITLE)
    checkout, cart, shelf = page, page.context.new_page(), page.context.new_page()
    shopping.fill_form(checkout)
    cart.goto("/cart/")
    shelf.goto(f"/books/{isbn}-x/")
    expect(shelf.get_by_text("Live", exact=True)).to_be_visible(timeout=SOON_MS)

    change_price(browser, running_shop, isbn, (minor + 111) / 100)
    try:
        expect(shelf.locator(".buy-price")).to_have_text(new, timeout=SOON_MS)
        expect(shelf.locator("body > [role=status]")).to_have_text(
            f"The price is now {new}; it was {old}.", timeout=SOON_MS
        )
        expect(cart.locator(".side-card .price")).to_have_text(new, timeout=SOON_MS)
        expect(cart.locator("[data-lines-news]")).to_contain_text(f"now costs {new}; it was {old}", timeout=SOON_MS)
        expect(checkout.locator("[data-news]")).to_contain_text(f"Now {new} each.", timeout=SOON_MS)
        expect(checkout.locator("[data-lines-news]")).to_contain_text(f"Now {new} each.", timeout=SOON_MS)
        running_shop.wait_until(
            lambda: running_shop.query(
                "SELECT price_minor, was_price_minor FROM shop_bookprice WHERE sku = %s", isbn
            ) == [(minor + 111, minor)],
            what="the change in the figures", timeout_seconds=60,
        )  # fmt: skip
        # The checkout was opened at the old price, so it asks.
        checkout.get_by_role("button", name="Place order").click()
        expect(checkout.get_by_role("heading", name="Please look again before you order")).to_be_visible(
            timeout=SOON_MS
        )
    finally:
        change_price(browser, running_shop, isbn, minor / 100)


def change_price(browser: Browser, shop: Shop, isbn: str, price: float) -> None:
    """As a clerk does it in the admin."""
    context = browser.new_context(base_url=shop.url)
    desk = context.new_page()
    desk.goto("/admin/login/")
    desk.get_by_label("Username").fill("admin")
    desk.get_by_label("Password").fill("admin")
    desk.get_by_role("button", name="Log in").click()
    desk.goto(f"/admin/shop/book/?q={isbn}")
    desk.get_by_role("link", name=TITLE).first.click()
    desk.locator("[name=price]").fill(f"{price:.2f}")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("was changed successfully")).to_be_visible(timeout=SOON_MS)
    context.close()
