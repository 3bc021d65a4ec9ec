"""What the tests of payments share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from devtools.testing.payments.stripe_calls import TIMEOUT_SECONDS
from devtools.testing.payments.stripe_process import SECRET, Double
from payments.gateways.stripe import StripeGateway


@pytest.fixture(scope="session")
def double() -> Iterator[Double]:
    """Stripe's double, the same for the whole run: each test has keys of its own."""
    running = Double()
    yield running
    running.close()


@pytest.fixture
def at(settings: Any) -> Callable[[str], StripeGateway]:
    """A gateway that takes this address for Stripe's."""

    def gateway_at(url: str) -> StripeGateway:
        settings.STRIPE_SECRET_KEY = "sk_test_double"
        settings.STRIPE_API_BASE = url
        settings.PAYMENT_TIMEOUT_SECONDS = TIMEOUT_SECONDS
        settings.PAYMENT_WEBHOOK_SECRETS = [SECRET]
        return StripeGateway()

    return gateway_at


@pytest.fixture
def gateway(at: Callable[[str], StripeGateway], double: Double) -> StripeGateway:
    """The gateway, talking to the double."""
    double.trouble()
    return at(double.url)


@pytest.fixture
def key() -> str:
    """As the id of a charge."""
    return str(uuid7())
