"""What the shop's tests share."""

from collections.abc import Iterator
from typing import Any

import pytest

from payments.gateways.sandbox import SandboxGateway
from shop import pricing
from shop.tests import resting


@pytest.fixture(autouse=True)
def todays_prices() -> Iterator[None]:
    """No test sees the prices and the stock that another one left in the process."""
    pricing.forget()
    yield
    pricing.forget()


@pytest.fixture
def quick_world(settings: Any, sandbox_gateway: SandboxGateway) -> None:
    """A gateway and a carrier without delays."""
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 0


@pytest.fixture
def slow_carrier(settings: Any, sandbox_gateway: SandboxGateway) -> None:
    """A gateway without delays, and a carrier that never comes by itself."""
    settings.CARRIER_SHIP_DELAY_SECONDS = settings.CARRIER_DELIVER_DELAY_SECONDS = 3600


@pytest.fixture
def shop(slow_carrier: None) -> resting.Shop:
    """A shop in which everything is as it should be."""
    return resting.a_shop()
