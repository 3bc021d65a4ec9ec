"""An account from sign-up to its end, in a real browser, with all of the shop's processes at work. S1."""

import json
import re
import time
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from devtools.testing.processes import Shop
from devtools.testing.shop import shopping

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow, pytest.mark.shop]
PASSWORD = "Long-enough-17"


def mailed_link(shop: Shop, address: str, words: str) -> str:
    """The link with these words in a mail to this address, once it has come."""
    folder, until = Path(shop.environment["BOOKRUSH_STATE_DIR"]) / "mail", time.monotonic() + 60
    while time.monotonic() < until:
        for file in folder.glob("*"):
            text = file.read_text(errors="replace")
            for letter in text.split("-" * 79):
                if f"To: {address}" in letter and (found := re.search(rf"https?://\S*{words}\S*", letter)):
                    return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no mail with {words} has come to {address}")


def test_an_account_from_sign_up_to_its_end(page: Page, running_shop: Shop) -> None:
    address = f"{uuid.uuid4().hex}@example.com"
    page.goto("/sign-up/")
    page.get_by_label("Email").fill(address)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("heading", name="Look into your mailbox")).to_be_visible()
    page.goto(mailed_link(running_shop, address, "confirm-address"))
    page.get_by_role("button", name="Yes, confirm it").click()
    expect(page.get_by_role("heading", name="My orders")).to_be_visible()

    order_id = shopping.order(page, "Slow Light")
    expect(page.locator("[data-order]")).to_have_attribute("data-final", "true", timeout=shopping.FINAL_MS)
    page.goto("/orders/")
    expect(page.locator(f"a[href='/orders/{order_id}/']")).to_be_visible()

    page.get_by_role("link", name="Account", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    told = json.loads(Path(download.value.path()).read_text())
    assert [order["id"] for order in told["orders"]] == [order_id]

    def delete() -> bool:
        page.goto("/account/delete/")
        return page.get_by_label("Password").count() == 1

    until = time.monotonic() + 60
    while not delete():
        assert time.monotonic() < until, "the last mail of the order was not sent"
        time.sleep(0.2)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_text("Your account is deleted.")).to_be_visible()
    kept = running_shop.query("SELECT name, email LIKE '%%@deleted.invalid' FROM orders_order WHERE id = %s", order_id)
    assert kept == [("deleted account", True)]
