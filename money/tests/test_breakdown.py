"""Parts of an order: they sum to the total, whatever is taken off, and go back exactly, in any sequence."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from money import breakdown
from money.breakdown import Tax

pytestmark = [pytest.mark.money, pytest.mark.shop]
RATES = st.sampled_from((0, 50_000, 70_000, 88_750, 190_000, 255_000)) | st.integers(0, 1_000_000)
TAXES = st.builds(Tax, books_ppm=RATES, shipping_ppm=RATES, is_added=st.booleans())
# From a cent, and a dong, to books that cost millions of dong.
PRICES = st.lists(st.integers(1, 100) | st.integers(1, 50_000_000), min_size=1, max_size=8)


@given(st.data(), PRICES, st.integers(0, 1_000_000), TAXES)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_lines_shipping_tax_and_discount_are_the_total(
    data: st.DataObject, prices: Sequence[int], shipping_minor: int, tax: Tax
) -> None:
    off = data.draw(st.integers(0, sum(prices)))
    found = breakdown.work_out(prices, shipping_minor=shipping_minor, discount_minor=off, tax=tax)
    added = found.tax_minor if tax.is_added else 0
    assert found.total_minor == sum(prices) + shipping_minor - off + added
    assert found.total_minor == sum(part.amount_minor for part in (*found.lines, found.shipping))
    assert (found.goods_minor, found.discount_minor) == (sum(prices), off)
    for part in (*found.lines, found.shipping):
        assert 0 <= part.discount_minor <= part.price_minor
        assert 0 <= part.tax_minor <= max(part.amount_minor, 0)


@given(st.data(), PRICES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_discount_is_spread_in_proportion(data: st.DataObject, weights: Sequence[int]) -> None:
    amount = data.draw(st.integers(0, sum(weights)))
    parts = breakdown.share(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - amount * weight) < sum(weights), "less than one unit from its exact share"
        assert 0 <= part <= weight


@given(st.data(), st.integers(0, 10**9), st.integers(1, 20))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_units_that_go_back_in_any_steps_are_the_whole(data: st.DataObject, amount: int, units: int) -> None:
    gone, back = 0, 0
    while gone < units:
        step = data.draw(st.integers(1, units - gone))
        cost = breakdown.first_units(amount, gone + step, units) - breakdown.first_units(amount, gone, units)
        assert cost >= 0
        gone, back = gone + step, back + cost
    assert back == amount


@pytest.mark.parametrize(
    ("price", "tax", "expected"),
    [
        (1070, Tax(books_ppm=70_000), (1070, 70)),
        (1000, Tax(books_ppm=70_000), (1000, 65)),  # 65.42
        (1000, Tax(books_ppm=88_750, is_added=True), (1089, 89)),  # 88.75
        (199_000, Tax(books_ppm=50_000), (199_000, 9476)),  # dong have no decimals: 9,476.19
        (10, Tax(books_ppm=50_000, is_added=True), (11, 1)),  # half a cent is rounded up
        (1250, breakdown.NO_TAX, (1250, 0)),
    ],
)
def test_tax_is_in_the_price_or_on_it(price: int, tax: Tax, expected: tuple[int, int]) -> None:
    found = breakdown.work_out([price], tax=tax)
    assert (found.total_minor, found.tax_minor) == expected


@pytest.mark.parametrize(
    ("prices", "values"),
    [([100], {"discount_minor": 101}), ([-1, 5], {}), ([1], {"shipping_minor": -1}), ([1], {"discount_minor": -1})],
)
def test_impossible_sums_are_refused(prices: list[int], values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        breakdown.work_out(prices, **values)
