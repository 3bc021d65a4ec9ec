"""What a book costs, by the moment: before, during and after a sale, and between two readings of it."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from devtools.testing.shop.flash_sales import HOUR, a_sale, move
from devtools.testing.shop.storefront import a_book
from inventory.models import pool_name
from shop.books import pricing
from shop.flashsales import flash_sales
from shop.templatetags.shop_words import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_world")]


def test_price_and_units_follow_the_clock() -> None:
    book = a_book(stock=30, price_minor=1000)
    sale = a_sale(book, starts_in=HOUR, units=20, price_minor=400, customer_limit=2)
    seen = []
    for starts_in in (HOUR, timedelta(0), -3 * HOUR):
        move(sale, starts_in=starts_in)
        offers = pricing.offers([book.isbn])
        offer = offers[book.isbn]
        seen.append(
            (offer.price_minor, offer.sale_id, offer.pool, offer.customer_limit, pricing.free(offers)[book.isbn])
        )
    usual = (1000, None, book.isbn, None, 10)
    assert seen == [usual, (400, sale.pk, pool_name(book.isbn, sale.pk), 2, 20), usual]


def test_a_sale_starts_and_ends_between_two_readings_of_the_database() -> None:
    """What was read once is priced by the moment of the call."""
    book = a_book(stock=30)
    sale = a_sale(book, starts_in=HOUR, lasts=HOUR)
    sales, usual = flash_sales._load(), pricing._load_usual([book.isbn])
    starts, ends = sale.starts_at, sale.ends_at
    tick = timedelta(microseconds=1)
    prices = [
        pricing._with_sales(usual, flash_sales._at(sales, at))[book.isbn].price_minor
        for at in (starts - tick, starts, ends - tick, ends)
    ]
    assert prices == [1250, 500, 500, 1250]
    assert [flash_sales._at(sales, at).until for at in (starts - tick, starts, ends - tick)] == [starts, ends, ends]


def test_of_several_sales_the_running_one_counts_then_the_next() -> None:
    book, other = a_book(stock=30), a_book(stock=30)
    a_sale(book, starts_in=9 * HOUR, lasts=HOUR, name="Later")
    a_sale(book, starts_in=3 * HOUR, lasts=HOUR, name="Next")
    assert {sku: terms.name for sku, terms in flash_sales.terms_by_sku().items()} == {book.isbn: "Next"}
    a_sale(book, name="Now", lasts=2 * HOUR)
    a_sale(other, starts_in=-3 * HOUR, lasts=HOUR, name="Long ago")
    a_sale(other, starts_in=-2 * HOUR, lasts=HOUR * 1.5, name="Just now")
    calendar = flash_sales.calendar()
    assert {sku: terms.name for sku, terms in calendar.by_sku.items()} == {book.isbn: "Now"}
    assert {sku: terms.name for sku, terms in calendar.recent.items()} == {other.isbn: "Just now"}


def test_terms_say_how_much_is_saved() -> None:
    now = timezone.now()
    fixed: dict[str, Any] = {
        "sale_id": 1, "name": "Rush", "units": 5, "customer_limit": None, "starts_at": now, "ends_at": now,
    }  # fmt: skip
    shares = {(500, 1000): 50, (333, 1000): 66, (999, 1000): 0, (1, 1000): 99, (1200, 1000): 0}
    for (price, usual), percent in shares.items():
        terms = flash_sales.SaleTerms(**fixed, price_minor=price, usual_price_minor=usual)
        assert terms.percent_off == percent, (price, usual)


def test_a_customer_is_the_account_or_else_the_address() -> None:
    account, guest = flash_sales.customer_of(7, "ada@example.com"), flash_sales.customer_of(None, "ada@example.com")
    assert re.fullmatch("[0-9a-f]{32}", account)
    assert flash_sales.customer_of(7, "other@example.com") == account
    assert flash_sales.customer_of(None, " ADA@Example.COM ") == guest
    assert len({account, guest, flash_sales.customer_of(8, ""), flash_sales.customer_of(None, "bob@example.com")}) == 4


def test_a_span_of_time_is_said_in_one_unit() -> None:
    now = timezone.now()
    spans = {0.5: "1 second", 59: "60 seconds", 179: "3 minutes", 7199: "2 hours", 86_400 * 7: "8 days"}
    for seconds, words in spans.items():
        # Half a second is enough to get here.
        assert until(now + timedelta(seconds=seconds + 0.5)) == words, seconds


def test_a_sale_has_begun_for_a_page_once_the_page_has_its_price() -> None:
    now = timezone.now()
    terms = flash_sales.SaleTerms(
        sale_id=1, name="Tonight", price_minor=500, usual_price_minor=1650, units=3, customer_limit=None,
        starts_at=now, ends_at=now + timedelta(hours=1),
    )  # fmt: skip
    before = pricing.Offer(sku="9780000000019", title="", author="", price_minor=1650, url="", cover_url="", sale=terms)
    after = replace(before, price_minor=500, sale_id=1)

    assert before.phase(now + timedelta(seconds=1)) is flash_sales.Phase.UPCOMING
    assert after.phase(now + timedelta(seconds=1)) is flash_sales.Phase.RUNNING
    assert after.phase(now + timedelta(hours=2)) is flash_sales.Phase.RUNNING
    assert replace(before, sale=None).phase(now) is None
