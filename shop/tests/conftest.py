"""What the storefront's tests share."""

from collections.abc import Iterator

import pytest

from shop import pricing


@pytest.fixture(autouse=True)
def todays_prices() -> Iterator[None]:
    """No test sees the prices and the stock that another one left in the process."""
    pricing.forget()
    yield
    pricing.forget()
