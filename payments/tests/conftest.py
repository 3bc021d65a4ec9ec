"""What the tests of payments share."""

from collections.abc import Iterator

import pytest

from devtools.testing.payments.stripe_process import Double


@pytest.fixture(scope="session")
def double() -> Iterator[Double]:
    """Stripe's double, the same for the whole run: each test has keys of its own."""
    running = Double()
    yield running
    running.close()
