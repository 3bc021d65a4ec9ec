"""The total follows what is chosen, in a browser; what it says is what is ordered."""

import os

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from devtools.testing.shop.rates import a_coupon, a_method, a_tax
from devtools.testing.shop.storefront import CONTACT, a_book
from orders.models import Order

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.browser, pytest.mark.shop]
PATIENCE_MS = 60_000


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_total_follows_country_way_and_coupon(page: Page, live_server: LiveServer, width: int, scheme: str) -> None:
    a_method(prices={"US": 399, "DE": 899})
    a_method("express", prices={"US": 1299}, position=1)
    a_tax("DE", "7")
    a_tax("US", "10", is_added=True)
    a_coupon()
    book = a_book(price_minor=1000)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{live_server.url}{book.get_absolute_url()}")
    page.get_by_role("button", name="Buy now").click()
    total = page.locator("[data-key=total]")
    expect(total).to_contain_text("Total before shipping")
    for name in ("name", "email", "address_line1", "postcode", "city"):
        page.locator(f"[name={name}]").fill(CONTACT[name])
    page.get_by_label("Country").select_option("DE")
    expect(total).to_contain_text("$18.99", timeout=PATIENCE_MS)
    page.get_by_label("Country").select_option("US")
    expect(total).to_contain_text("$15.39", timeout=PATIENCE_MS)
    page.get_by_label("Express").check()
    expect(total).to_contain_text("$25.29", timeout=PATIENCE_MS)
    page.get_by_label("Coupon").fill("nothing")
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no coupon “nothing”.", timeout=PATIENCE_MS)
    page.get_by_label("Coupon").fill("spring")
    page.get_by_role("button", name="Use it").click()
    expect(total).to_contain_text("$24.19", timeout=PATIENCE_MS)
    assert page.locator("[name=name]").input_value() == CONTACT["name"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/prices-checkout-{width}.png", full_page=True)
    page.locator("[name=payment_method]").first.check(force=True)
    page.get_by_role("button", name="Place order").click()
    expect(page.locator("[data-key=total]")).to_contain_text("$24.19", timeout=PATIENCE_MS)
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/prices-order-{width}.png", full_page=True)
    order = Order.objects.get()
    assert (order.total_minor, order.shipping_method, order.coupon_code) == (2419, "Express", "SPRING")
