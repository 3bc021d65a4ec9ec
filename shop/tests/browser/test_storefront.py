"""The storefront in a real browser, with all of the shop's processes at work."""

from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from devtools.testing.processes import Shop
from devtools.testing.shop import shopping

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow]

# Notes what a screen reader is told of the order.
NOTE_WORDS = """() => {
  window.said = [];
  const head = document.querySelector("[data-order] [aria-live]");
  new MutationObserver((changes) => window.said.push(...changes.map((change) => change.target.textContent.trim())))
    .observe(head, { childList: true, characterData: true, subtree: true });
}"""


def sign_in(page: Page) -> None:
    """As the demo's buyer."""
    page.goto("/sign-in/")
    page.get_by_label("Email or user name").fill("reader")
    page.get_by_label("Password").fill("reader")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="My orders")).to_be_visible()


def free(shop: Shop, title: str) -> int:
    """Units that can still be ordered, those of the sales of other tests apart."""
    rows = shop.query(
        "SELECT received - held - sold FROM inventory_stock JOIN shop_book ON isbn = sku "
        "WHERE title = %s AND sale_id IS NULL",
        title,
    )
    return int(rows[0][0])


def test_a_guest_buys_and_sees_every_status_without_reloading(page: Page, running_shop: Shop) -> None:
    running_shop.stop("orders")  # so that the page is open and live before anything happens
    shopping.order(page, "Slow Light")
    expect(page.get_by_role("heading", name="Your order is being processed")).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.evaluate(shopping.NOTE_STATUSES)
    running_shop.start("orders")

    expect(page.locator("[data-order]")).to_have_attribute("data-final", "true", timeout=shopping.FINAL_MS)
    assert page.evaluate("window.seen") == ["PENDING", "PAID", "SHIPPED", "DELIVERED"]
    steps = page.locator(".step")
    assert [(step.get_attribute("data-code"), step.get_attribute("data-state")) for step in steps.all()] == [
        (code, "done") for code in ("placed", "held", "paid", "confirmed", "shipped", "delivered")
    ]
    expect(page.get_by_text("Tracking number", exact=True)).to_be_visible()
    order_id = page.url.split("/orders/")[1].split("/")[0]
    stock = running_shop.query("SELECT state FROM inventory_reservation WHERE order_id = %s::uuid", order_id)
    assert stock == [("sold",)]


def test_an_open_page_takes_no_focus_away_and_repeats_no_words(page: Page, running_shop: Shop) -> None:
    running_shop.stop("shipping")
    running_shop.stop("orders")
    open_requests, most_at_once = set[Request](), 0

    def asked(request: Request) -> None:
        nonlocal most_at_once
        if "/fragment/" in request.url:
            open_requests.add(request)
            most_at_once = max(most_at_once, len(open_requests))

    page.on("request", asked)
    page.on("requestfinished", lambda request: open_requests.discard(request))
    shopping.order(page, "Broth")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.evaluate(NOTE_WORDS)
    cancel = page.get_by_role("link", name="Cancel this order")
    cancel.focus()
    running_shop.start("orders")
    expect(page.get_by_role("heading", name="Confirmed")).to_be_visible(timeout=shopping.FINAL_MS)
    expect(page.locator(".step[data-code=paid]")).to_have_class("step is-new")
    expect(cancel).to_be_focused()

    running_shop.start("shipping")
    expect(page.locator("[data-order]")).to_have_attribute("data-final", "true", timeout=shopping.FINAL_MS)
    expect(cancel).to_have_count(0)
    expect(page.locator("#content")).to_be_focused()
    said = page.evaluate("window.said")
    assert "Delivered" in said
    assert len(said) == len(set(said))
    assert most_at_once == 1


def test_a_declined_card_ends_cancelled_and_gives_the_stock_back(page: Page, running_shop: Shop) -> None:
    left = free(running_shop, "Bread Before Seven")
    shopping.order(page, "Bread Before Seven", card="Card that is declined")
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible(timeout=shopping.FINAL_MS)
    expect(
        page.get_by_text("Your payment did not go through (card declined). You have not been charged.")
    ).to_be_visible()
    running_shop.wait_until(lambda: free(running_shop, "Bread Before Seven") == left, what="the stock to be back")

    page.get_by_role("button", name="Try again with these books").click()
    shopping.fill_form(page)
    shopping.place_order(page)
    expect(page.locator("[data-order]")).to_have_attribute("data-status", "DELIVERED", timeout=shopping.FINAL_MS)


@pytest.mark.stock
def test_two_buyers_of_the_last_copy_see_one_sale_and_one_apology(
    browser: Browser, browser_context_args: dict[str, Any], running_shop: Shop
) -> None:
    shopping.leave_one_copy(running_shop, "The Last Unit")
    running_shop.stop("inventory")  # both clicks are accepted before a decision
    pages = [browser.new_context(**browser_context_args).new_page() for _ in range(2)]
    for page in pages:
        shopping.order(page, "The Last Unit")
        expect(page.get_by_text("Live", exact=True)).to_be_visible()
    running_shop.start("inventory")

    for page in pages:
        expect(page.locator("[data-order]")).to_have_attribute("data-final", "true", timeout=shopping.FINAL_MS)
    headlines = sorted(page.locator("[data-headline]").inner_text() for page in pages)
    assert headlines == ["Cancelled", "Delivered"]
    loser = next(page for page in pages if page.locator("[data-headline]").inner_text() == "Cancelled")
    expect(loser.get_by_text("We are sorry: the last copies went to someone else.")).to_be_visible()
    loser.goto("/?q=The+Last+Unit")
    expect(loser.get_by_text("Sold out")).to_be_visible()


def test_a_broken_connection_is_shown_and_mended(page: Page, running_shop: Shop) -> None:
    running_shop.stop("orders")
    shopping.order(page, "Broth")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    running_shop.kill("live")
    running_shop.stop("live")
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    running_shop.start("orders")
    # The page asks over HTTP while there is no socket.
    expect(page.locator("[data-order]")).to_have_attribute("data-status", "DELIVERED", timeout=shopping.FINAL_MS)


def test_a_page_comes_back_to_the_socket(page: Page, running_shop: Shop) -> None:
    running_shop.stop("orders")
    shopping.order(page, "Broth")
    running_shop.stop("live")
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    running_shop.start("live")
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=shopping.FINAL_MS)
    page.context.set_offline(True)
    expect(page.get_by_text("Offline", exact=True)).to_be_visible()
    running_shop.start("orders")
    page.context.set_offline(False)
    expect(page.locator("[data-order]")).to_have_attribute("data-status", "DELIVERED", timeout=shopping.FINAL_MS)


@pytest.mark.security
def test_a_page_that_said_too_much_asks_over_http_and_waits(page: Page, running_shop: Shop) -> None:
    """XA4: it does not open one socket after the other."""
    running_shop.stop("orders")
    shopping.order(page, "Broth")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    with page.expect_request("**/api/orders/*/*"):
        # Each look at the page asks for the order again.
        page.evaluate("() => { for (let i = 0; i < 60; i++) document.dispatchEvent(new Event('visibilitychange')); }")
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    page.wait_for_timeout(3000)
    assert opened == []
    running_shop.start("orders")
    expect(page.locator("[data-order]")).to_have_attribute("data-status", "DELIVERED", timeout=shopping.FINAL_MS)


def test_without_javascript_the_order_page_reloads_itself(
    browser: Browser, browser_context_args: dict[str, Any], running_shop: Shop
) -> None:
    context = browser.new_context(**browser_context_args, java_script_enabled=False)
    page = context.new_page()
    shopping.order(page, "Small Hours, Large Windows")
    expect(page.get_by_role("heading", name="Delivered")).to_be_visible(timeout=shopping.FINAL_MS)
    context.close()


def test_signing_out_ends_what_other_tabs_see(context: BrowserContext, page: Page, running_shop: Shop) -> None:
    running_shop.stop("orders")
    sign_in(page)
    number = shopping.order(page, "Broth")
    page.goto(f"/orders/{number}/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()

    other = context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out; sign in to see more")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="This page is out of print")).to_be_visible()
    running_shop.start("orders")


def test_a_book_can_be_bought_by_keyboard_alone(page: Page) -> None:
    def press_until(role: str, name: str) -> None:
        target = page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
        for _ in range(80):
            page.keyboard.press("Tab")
            if target.evaluate("element => element === document.activeElement"):
                outline = target.evaluate(
                    "element => getComputedStyle(element.closest('.pay-card') ?? element).outlineStyle"
                )
                assert outline == "solid"
                return
        raise AssertionError(f"Tab never reached {name}")

    page.goto("/?q=Pockets")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "card":
            break
    page.keyboard.press("Enter")
    press_until("button", "Buy now")
    page.keyboard.press("Enter")
    page.wait_for_url("**/checkout/")
    for label in ("Full name", "Email", "Street and number", "Postcode", "Town or city"):
        press_until("textbox", label)
        page.keyboard.type({"Email": "ada@example.com"}.get(label, "12345"))
    page.keyboard.press("Tab")
    page.keyboard.type("Germ")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Card that is declined")).to_be_checked()
    press_until("button", "Place order")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible(timeout=shopping.FINAL_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(page: Page, scheme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    shopping.fill_cart(page, "The Cartographer of Small Moons")
    too_wide, dark = [], []
    for path in ("/", "/?q=zzz", "/cart/", "/checkout/", "/sign-in/", "/sign-up/", "/find-order/", "/nowhere/"):
        page.goto(path)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            too_wide.append(path)
        red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        dark.append(int(red) < 60)
    assert too_wide == []
    assert set(dark) == {scheme == "dark"}
    page.goto("/checkout/")
    shopping.fill_form(page)
    shopping.place_order(page)
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    sign_in(page)
    brand, navigation = (page.locator(selector).bounding_box() for selector in (".brand", ".site-nav"))
    assert brand and navigation and brand["x"] + brand["width"] < navigation["x"]


def test_books_are_suggested_while_typing_and_found_by_enter(page: Page) -> None:
    page.goto("/")
    field = page.get_by_role("combobox", name="Search by title")
    field.press_sequentially("lichen", delay=20)
    option = page.get_by_role("option", name="Lichen").first
    expect(option).to_be_visible()
    field.press("Escape")
    expect(option).to_be_hidden()
    field.press_sequentially("s", delay=20)
    field.press("Enter")
    expect(page.get_by_role("heading", name="Results for “lichens”")).to_be_visible()
    expect(page.locator(".card")).to_have_count(1)
    assert page.url.endswith("/?q=lichens")
    page.go_back()
    expect(page.locator(".card")).to_have_count(24)
    field.fill("lichen")
    expect(option).to_be_visible()
    field.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    field.press("Enter")
    page.wait_for_url("**/books/**")
