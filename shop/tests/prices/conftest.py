"""Rates and coupons for the tests of this folder."""

from collections.abc import Iterator

import pytest

from shop.prices import rates


@pytest.fixture(autouse=True)
def fresh_rates() -> Iterator[None]:
    """No rates of another test are remembered."""
    rates.forget()
    yield
    rates.forget()
