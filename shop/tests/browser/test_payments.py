"""A buyer's money in a real browser, with all of the shop's processes and the bank's page at work."""

import re

import pytest
from playwright.sync_api import Page, expect

from devtools.testing.payments import gateway_books
from devtools.testing.processes import Shop
from devtools.testing.shop import shopping

pytestmark = [pytest.mark.browser, pytest.mark.kafka, pytest.mark.slow, pytest.mark.money]
TITLE = "Slow Light"
ASKS = "Card that asks you"


def go_to_the_bank(page: Page) -> None:
    """Wait until the open page asks for it by itself, then follow its link."""
    expect(page.get_by_role("heading", name="Your bank asks you to confirm this payment")).to_be_visible(
        timeout=shopping.FINAL_MS
    )
    page.get_by_role("link", name="Confirm at your bank").click()
    expect(page.get_by_text("A test bank. No money moves here.")).to_be_visible()


def back_from_the_bank(page: Page, order_id: str) -> None:
    """The bank sends the buyer to the order's page; a guest is known there without the key of the link."""
    page.wait_for_url(re.compile(rf"/orders/{order_id}/"))


def is_final(page: Page) -> None:
    """Nothing more will happen to the order."""
    expect(page.locator("[data-order]")).to_have_attribute("data-final", "true", timeout=shopping.FINAL_MS)


def test_3_d_secure_confirmed(page: Page, running_shop: Shop) -> None:
    order_id = shopping.order(page, TITLE, card=ASKS)
    go_to_the_bank(page)
    page.get_by_role("button", name="Confirm payment").click()
    back_from_the_bank(page, order_id)
    is_final(page)
    expect(page.get_by_role("heading", name="Delivered")).to_be_visible()
    assert gateway_books.captured(running_shop, [order_id]) == 1


def test_3_d_secure_refused(page: Page, running_shop: Shop) -> None:
    order_id = shopping.order(page, TITLE, card=ASKS)
    go_to_the_bank(page)
    page.get_by_role("button", name="Refuse").click()
    back_from_the_bank(page, order_id)
    is_final(page)
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    expect(page.get_by_text("You have not been charged.")).to_be_visible()
    assert gateway_books.captured(running_shop, [order_id]) == 0


def test_a_stranger_who_comes_from_the_bank_sees_nothing(page: Page, running_shop: Shop) -> None:
    """The address that the bank sends buyers back to is no key."""
    order_id = shopping.order(page, TITLE, card=ASKS)
    go_to_the_bank(page)
    page.context.clear_cookies()
    page.get_by_role("button", name="Confirm payment").click()
    back_from_the_bank(page, order_id)
    expect(page.get_by_role("heading", name="This page is out of print")).to_be_visible()
    expect(page.get_by_text("Ada Reader")).to_have_count(0)
    gateway_books.wait_for_the_end(running_shop, [order_id])
    assert gateway_books.ends(running_shop, [order_id]) == {"DELIVERED": 1}


def test_declined_then_bought_with_another_card(page: Page, running_shop: Shop) -> None:
    declined = shopping.order(page, TITLE, card="Card that is declined")
    is_final(page)
    expect(
        page.get_by_text("Your payment did not go through (card declined). You have not been charged.")
    ).to_be_visible()
    page.get_by_role("button", name="Try again with these books").click()
    expect(page.get_by_role("heading", name="Checkout")).to_be_visible()
    shopping.fill_form(page)
    bought = shopping.place_order(page)
    is_final(page)
    expect(page.get_by_role("heading", name="Delivered")).to_be_visible()
    assert bought != declined
    assert gateway_books.captured(running_shop, [declined, bought]) == 1
    gateway_books.assert_sums(running_shop, [declined, bought])


def test_cancelled_with_the_money_back(page: Page, running_shop: Shop) -> None:
    running_shop.stop("shipping")
    try:
        order_id = shopping.order(page, TITLE)
        expect(page.get_by_role("heading", name="Confirmed")).to_be_visible(timeout=shopping.FINAL_MS)
        page.get_by_role("link", name="Cancel this order").click()
        expect(page.get_by_role("heading", name="Cancel this order?")).to_be_visible()
        page.get_by_role("button", name="Yes, cancel the order").click()
        back_from_the_bank(page, order_id)
        is_final(page)
        expect(page.get_by_role("heading", name="Cancelled and refunded")).to_be_visible()
    finally:
        running_shop.start("shipping")
    assert gateway_books.refunds_of_each(running_shop, [order_id]) == [1]
    gateway_books.assert_sums(running_shop, [order_id])


def test_sent_back_and_asked_for(page: Page, running_shop: Shop) -> None:
    shopping.order(page, TITLE)
    is_final(page)
    page.get_by_role("link", name="Send it back").click()
    expect(page.get_by_role("heading", name="Send books back")).to_be_visible()
    page.get_by_role("spinbutton").fill("1")
    page.get_by_label(re.compile("matter|reason|why", re.IGNORECASE)).fill("Two pages are missing.")
    page.get_by_role("button", name="Ask for the return").click()
    expect(page.get_by_text("We look at it and write to you.")).to_be_visible()
