"""Amounts in words."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.models import Order, OrderLine
from payments.models import Charge, Refund
from shop import money


@pytest.mark.parametrize(
    ("amount_minor", "currency", "words"),
    [
        (0, "USD", "$0.00"),
        (5, "USD", "$0.05"),
        (123450, "USD", "$1,234.50"),
        (-1999, "EUR", "-€19.99"),
        (1500, "JPY", "¥1,500"),
        (1250, "CHF", "CHF 12.50"),
    ],
)
def test_amounts(amount_minor: int, currency: str, words: str) -> None:
    assert money.in_words(amount_minor, currency) == words


@pytest.mark.money
@given(st.integers(min_value=0, max_value=10**14))
def test_no_amount_is_rounded_on_its_way_to_people(amount_minor: int) -> None:
    """Whole cents are kept and moved; what pages, mails and the admin say of them says the same number."""
    assert Charge(amount_minor=amount_minor).amount * 100 == amount_minor
    assert Refund(amount_minor=amount_minor).amount * 100 == amount_minor
    assert Order(total_minor=amount_minor).total * 100 == amount_minor
    said = money.in_words(amount_minor, "USD").replace(",", "").removeprefix("$")
    assert Decimal(said) * 100 == amount_minor


@pytest.mark.money
@given(st.integers(1, 10**6), st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_copies_paid_back_bit_by_bit_come_to_exactly_what_they_cost(price_minor: int, parts: list[int]) -> None:
    line = OrderLine(unit_price_minor=price_minor, quantity=sum(parts))
    whole, back = line.line_total_minor, 0
    for units in parts:
        before = line.returned_minor
        line.returned += units
        back += line.returned_minor - before
    assert back == line.returned_minor == whole
