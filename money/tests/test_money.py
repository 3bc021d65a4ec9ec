"""Amounts as people and records read them."""

import timeit
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import money

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("amount_minor", "currency", "shown"),
    [
        (0, "USD", "$0.00"),
        (5, "USD", "$0.05"),
        (123450, "USD", "$1,234.50"),
        (-1999, "EUR", "-€19.99"),
        (1500, "JPY", "¥1,500"),
        (250000, "VND", "₫250,000"),
        (1250, "CHF", f"CHF{SPACE}12.50"),
        (1250, "KWD", f"KWD{SPACE}1.250"),
        # The CLDR writes no decimals of these; gateways count them all the same.
        (123456, "HUF", f"HUF{SPACE}1,234.56"),
        (1250, "XXY", f"XXY{SPACE}12.50"),
    ],
)
def test_buyers_read_amounts_in_their_currency(amount_minor: int, currency: str, shown: str) -> None:
    assert money.format_amount(amount_minor, currency) == shown


def test_another_language_has_its_own_look() -> None:
    assert money.format_amount(123450, "VND", "vi") == f"123.450{SPACE}₫"
    assert money.format_amount(123450, "EUR", "de") == f"1.234,50{SPACE}€"


@pytest.mark.parametrize(
    ("amount_minor", "currency", "with_code", "plain"),
    [
        (123450, "USD", "1,234.50 USD", "1234.50 USD"),
        (0, "EUR", "0.00 EUR", "0.00 EUR"),
        (123450, "VND", "123,450 VND", "123450 VND"),
        (1250, "TND", "1.250 TND", "1.250 TND"),
    ],
)
def test_staff_and_records_read_the_code(amount_minor: int, currency: str, with_code: str, plain: str) -> None:
    assert money.format_with_code(amount_minor, currency) == with_code
    assert money.format_plain(amount_minor, currency) == plain


@pytest.mark.money
@given(st.integers(min_value=-(10**14), max_value=10**14), st.sampled_from(["USD", "VND", "KWD", "CLF", "HUF"]))
def test_no_amount_is_rounded_on_its_way_to_people(amount_minor: int, currency: str) -> None:
    assert money.to_minor(money.to_major(amount_minor, currency), currency) == amount_minor
    shown = money.format_with_code(amount_minor, currency).removesuffix(f" {currency}").replace(",", "")
    assert money.to_minor(Decimal(shown), currency) == amount_minor
    assert money.format_plain(amount_minor, currency) == f"{shown} {currency}"


def test_an_amount_with_too_many_decimals_is_refused() -> None:
    with pytest.raises(ValueError, match="smallest unit"):
        money.to_minor(Decimal("12.50"), "VND")


def test_a_page_of_prices_costs_next_to_nothing() -> None:
    """Fifty prices that were shown before: well below a thousandth of a second together, also on a busy machine."""
    prices = range(1000, 1050)

    def page() -> None:
        for price in prices:
            money.format_amount(price, "USD")

    page()
    assert min(timeit.repeat(page, number=10, repeat=5)) / 10 < 0.001
