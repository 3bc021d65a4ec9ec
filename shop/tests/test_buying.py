"""Buying a book in a real browser, against the running shop."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from shop.testing.processes import Shop

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def page(browser: Browser, running_shop: Shop) -> Iterator[Page]:
    """A guest's page; a script error fails the test."""
    context = browser.new_context(base_url=running_shop.url, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    opened, errors = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


def stock_of(shop: Shop, isbn: str) -> tuple[int, int]:
    """Held and sold."""
    [(held, sold)] = shop.query("SELECT held, sold FROM inventory_stock WHERE sku = %s", isbn)
    return int(held), int(sold)


def choose_a_book(page: Page) -> str:
    """Put the first book of the catalogue that is plentiful into the cart and go to the checkout; its ISBN."""
    page.goto("/")
    page.locator("a[href^='/books/']").first.click()
    match = re.search(r"/books/(\d{13})-", page.url)
    assert match is not None
    page.get_by_role("button", name="Buy now").click()
    expect(page).to_have_url(re.compile(r"/checkout/"))
    return match[1]


def fill_in(page: Page, card: str) -> None:
    """The form, with one of the test cards, and order."""
    page.get_by_label("Name").fill("Grace Hopper")
    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_label("Address", exact=True).fill("1 Compiler Court")
    page.get_by_label("Postcode").fill("20500")
    page.get_by_label("City").fill("Arlington")
    page.get_by_label("Country").select_option("US")
    page.locator(f"[data-card={card}]").click()
    page.get_by_role("button", name="Place order").click()
    expect(page).to_have_url(re.compile(r"/orders/[0-9a-f-]{36}/\?key="))


def test_a_guest_buys_a_book_and_sees_every_status_arrive(page: Page, running_shop: Shop) -> None:
    isbn = choose_a_book(page)
    before = stock_of(running_shop, isbn)
    running_shop.stop("inventory")  # so that the page is there before anything happens
    fill_in(page, "pm_success")
    page.evaluate("window.neverReloaded = true; window.seen = [];")
    page.evaluate(
        """() => {
            const order = document.querySelector('[data-order]');
            const note = () => { const s = order.dataset.status; if (window.seen.at(-1) !== s) window.seen.push(s); };
            note();
            new MutationObserver(note).observe(order, {attributes: true});
        }"""
    )
    badge = page.locator("[data-badge]")
    expect(badge).to_have_text("PENDING")
    expect(page.locator(".connection[data-connection=live]")).to_be_visible()
    running_shop.start("inventory")
    expect(badge).to_have_text("DELIVERED", timeout=30_000)
    assert page.evaluate("window.seen") == ["PENDING", "PAID", "SHIPPED", "DELIVERED"]
    assert page.evaluate("window.neverReloaded") is True
    states = page.locator("[data-steps] .step").evaluate_all(
        "steps => steps.map(s => [s.dataset.code, s.dataset.state])"
    )
    assert states == [[code, "done"] for code in ("placed", "held", "paid", "confirmed", "shipped", "delivered")]
    assert stock_of(running_shop, isbn) == (before[0], before[1] + 1)


def test_a_declined_card_ends_cancelled_with_its_reason_and_the_stock_given_back(
    page: Page, running_shop: Shop
) -> None:
    isbn = choose_a_book(page)
    before = stock_of(running_shop, isbn)
    fill_in(page, "pm_declined")
    expect(page.locator("[data-badge]")).to_have_text("CANCELLED", timeout=30_000)
    expect(page.locator("[data-detail]")).to_have_text(
        "Your payment did not go through (card declined). You have not been charged."
    )
    running_shop.wait_until(lambda: stock_of(running_shop, isbn) == before, what="the stock given back")


def test_a_lost_connection_is_shown_and_nothing_is_missed(page: Page, running_shop: Shop) -> None:
    choose_a_book(page)
    running_shop.stop("inventory")
    fill_in(page, "pm_success")
    connection = page.locator(".connection[data-connection]").first
    expect(connection).to_have_attribute("data-connection", "live")
    running_shop.kill("live")
    expect(connection).to_have_attribute("data-connection", "reconnecting")
    running_shop.start("inventory")
    running_shop.start("live")
    expect(page.locator("[data-badge]")).to_have_text("DELIVERED", timeout=40_000)


def test_without_javascript_the_order_page_refreshes_itself(browser: Browser, running_shop: Shop) -> None:
    context = browser.new_context(base_url=running_shop.url, java_script_enabled=False)
    context.set_default_timeout(10_000)
    page = context.new_page()
    choose_a_book(page)
    fill_in(page, "pm_success")
    expect(page.locator("[data-badge]")).to_have_text("DELIVERED", timeout=40_000)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_needs_to_be_scrolled_sideways(browser: Browser, running_shop: Shop, width: int, scheme: str) -> None:
    context = browser.new_context(
        base_url=running_shop.url,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    isbn = choose_a_book(page)
    for path in ("/", f"/books/{isbn}-x/", "/cart/", "/checkout/", "/sign-in/", "/sign-up/", "/no-such-page/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()


def test_a_book_can_be_bought_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text(re.compile("skip", re.IGNORECASE))
    page.locator("a[href^='/books/']").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Buy now").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/checkout/"))
    page.get_by_label("Name").focus()
    page.keyboard.type("Grace Hopper")
    page.keyboard.press("Tab")
    page.keyboard.type("grace@example.com")
    expect(page.get_by_label("E-mail")).to_have_value("grace@example.com")
