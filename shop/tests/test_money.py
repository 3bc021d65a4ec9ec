"""Amounts of the shop's own rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import money
from orders.models import Order, OrderLine, OrderMail
from payments.models import Charge, Refund


@pytest.mark.money
@given(st.integers(min_value=0, max_value=10**14), st.sampled_from(["USD", "VND", "KWD"]))
def test_rows_tell_their_amount_in_major_units(amount_minor: int, currency: str) -> None:
    major = money.to_major(amount_minor, currency)
    order = Order(total_minor=amount_minor, currency=currency)
    assert order.total == major
    assert Refund(charge=Charge(currency=currency), amount_minor=amount_minor).amount == major
    assert OrderMail(order=order, amount_minor=amount_minor).amount == major


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
