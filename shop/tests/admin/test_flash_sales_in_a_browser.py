"""Making a flash sale in a real browser: books are looked up as one types, rows are added, errors are at theirs."""

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from devtools.testing.shop.flash_sales import HOUR
from devtools.testing.shop.storefront import a_book
from shop.models import FlashSale

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def choose(desk: Page, row: int, words: str, title: str) -> None:
    """Look a book up in a row and take it."""
    desk.locator(".select2-selection:visible").nth(row).click()
    desk.locator(".select2-search__field").last.fill(words)
    desk.locator(".select2-results__option", has_text=title).click()


def test_a_sale_is_made_and_ended(desk: Page) -> None:
    a_book(stock=50, title="The Glasshouse Alibi")
    scarce = a_book(stock=5, title="Broth")
    now = timezone.localtime()
    desk.goto("/admin/shop/flashsale/add/")
    desk.locator("[name=name]").fill("Evening rush")
    for name, at in (("starts_at", now - HOUR), ("ends_at", now + 30 * HOUR)):
        desk.locator(f"[name={name}_0]").fill(f"{at:%Y-%m-%d}")
        desk.locator(f"[name={name}_1]").fill(f"{at:%H:%M:%S}")
    desk.keyboard.press("Escape")
    choose(desk, 0, "glass", "The Glasshouse Alibi")
    desk.locator("[name=books-0-price]").fill("4.99")
    desk.locator("[name=books-0-units]").fill("10")
    desk.get_by_text("Add another Book").click()
    choose(desk, 1, "broth", "Broth")
    desk.locator("[name=books-1-price]").fill("3.00")
    desk.locator("[name=books-1-units]").fill("6")
    desk.get_by_role("button", name="Save", exact=True).click()
    error = f"Only 5 more units of {scarce.isbn} are free to be set aside; that would take 6."
    expect(desk.get_by_text(error)).to_be_visible()
    wider = desk.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0

    desk.locator("[name=books-1-units]").fill("5")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("running", exact=True)).to_be_visible()
    sale = FlashSale.objects.get()
    assert list(sale.books.values_list("book__title", "price_minor", "units")) == [
        ("The Glasshouse Alibi", 499, 10),
        ("Broth", 300, 5),
    ]

    desk.locator("input.action-select").check()
    desk.get_by_label("Select action to run").select_option("end_now")
    desk.get_by_role("button", name="Run", exact=True).click()
    expect(desk.get_by_text("“Evening rush” has ended.")).to_be_visible()
