"""What shipping costs where, which tax counts when, and what staff may not enter."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from devtools.testing.shop.rates import LONG_AGO, a_coupon, a_method, a_tax
from money.breakdown import NO_TAX
from orders.coupons.tables import code_of
from shop.models import TaxRate
from shop.prices import rates, seed

pytestmark = [pytest.mark.django_db, pytest.mark.shop]
TODAY = date(2026, 6, 1)


def ways(country: str, grams: int = 500, goods_minor: int = 1000) -> dict[str, int]:
    return {way.code: way.price_minor for way in rates.now().ways(country, grams, goods_minor)}


def test_a_shop_without_rates_ships_free_and_adds_no_tax() -> None:
    assert ways("VN") == {"": 0}
    assert rates.now().tax("VN", TODAY) == NO_TAX
    assert not rates.now().depend_on_country


def test_the_lightest_tier_that_carries_the_books_counts() -> None:
    method = a_method(prices={"US": 900})
    method.rates.create(country="US", upto_grams=1000, price_minor=400, free_from_minor=5000)
    method.rates.create(country="", upto_grams=2000, price_minor=1500)
    rates.forget()
    assert [ways("US", grams) for grams in (1, 1000, 1001)] == [{"standard": 400}, {"standard": 400}, {"standard": 900}]
    assert [ways("US", 10, goods)["standard"] for goods in (4999, 5000)] == [400, 0]
    assert (ways("DE", 2000), ways("DE", 2001)) == ({"standard": 1500}, {}), "too heavy for everywhere else"


def test_ways_come_in_their_sequence_and_only_where_they_go() -> None:
    a_method("express", prices={"US": 1300}, position=2)
    a_method("standard", prices={"": 500}, position=1)
    assert list(ways("US").items()) == [("standard", 500), ("express", 1300)]
    assert ways("FR") == {"standard": 500}


def test_the_newest_tax_that_is_valid_counts() -> None:
    a_tax("DE", "7")
    a_tax("DE", "9", since=date(2026, 7, 1))
    a_tax("", "1.5")
    known = rates.now()
    assert [known.tax("DE", day).books_ppm for day in (TODAY, date(2026, 7, 1))] == [70_000, 90_000]
    assert known.tax("JP", TODAY).books_ppm == 15_000
    assert known.tax("DE", date(2019, 1, 1)) == NO_TAX


def test_the_database_refuses_what_makes_no_sense() -> None:
    a_tax("DE", "7")
    a_method(prices={"US": 1})
    bad: list[dict[str, Any]] = [
        {"kind": "percent", "percent": 91},
        {"kind": "percent"},
        {"kind": "amount", "amount_minor": 500, "minimum_minor": 500},
        {"kind": "shipping", "percent": 5},
    ]
    for terms in bad:
        with pytest.raises(IntegrityError), transaction.atomic():
            a_coupon("WRONG", **terms)
    with pytest.raises(IntegrityError), transaction.atomic():
        TaxRate.objects.create(country="DE", valid_from=LONG_AGO)
    with pytest.raises(IntegrityError), transaction.atomic():
        TaxRate.objects.create(country="FR", valid_from=LONG_AGO, books_percent=Decimal(-1))


@pytest.mark.parametrize(
    ("typed", "code"), [(" spring-10 ", "SPRING-10"), ("ab", ""), ("näh", ""), ("A" * 31, ""), ("-AB", ""), ("", "")]
)
def test_codes_are_kept_in_one_spelling(typed: str, code: str) -> None:
    assert code_of(typed) == code


def test_a_demo_is_seeded_once() -> None:
    assert [seed.seed(), seed.seed()] == [True, False]
    assert set(ways("US")) == {"standard", "express"}
    assert set(ways("VN")) == {"standard"}
