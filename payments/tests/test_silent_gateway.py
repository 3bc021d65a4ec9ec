"""A gateway that accepts connections and says nothing, as behind a network that drops everything."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from devtools.testing import tcp_proxy
from devtools.testing.payments.charges import ask_for, stated_types
from devtools.testing.payments.stripe_process import Double
from devtools.testing.payments.worker_runs import run, run_to_the_end
from payments import checks, gateways
from payments.gateway_worker import GatewayWorker
from payments.models import Charge

pytestmark = [pytest.mark.money, pytest.mark.security, pytest.mark.faults, pytest.mark.django_db(transaction=True)]
TIMEOUT_SECONDS = 1.0


@pytest.fixture
def between(settings: Any, double: Double) -> Iterator[tcp_proxy.TcpProxy]:
    """What leads to the gateway."""
    double.trouble()
    address = urlsplit(double.url)
    with tcp_proxy.proxy_to((str(address.hostname), int(address.port or 0))) as proxy:
        settings.PAYMENT_GATEWAY = checks.STRIPE
        settings.STRIPE_SECRET_KEY = "sk_test_double"
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{proxy.port}"
        settings.PAYMENT_TIMEOUT_SECONDS = TIMEOUT_SECONDS
        gateways.current.cache_clear()
        yield proxy
    gateways.current.cache_clear()


def test_xe5_a_call_without_an_answer_ends_as_unknown_and_nothing_is_taken_twice(
    between: tcp_proxy.TcpProxy, double: Double
) -> None:
    """What was sent into the silence arrives all the same, once the network is back."""
    ask_for("pm_card_visa")
    between.freeze()
    began = time.monotonic()
    worker = GatewayWorker()
    run(worker)
    assert time.monotonic() - began < 5 * TIMEOUT_SECONDS
    charge = Charge.objects.get()
    assert (charge.state, charge.unknown_since is not None) == ("requested", True)
    assert stated_types() == ["payment.unknown"]
    assert double.payments(str(charge.pk)) == []
    between.thaw()
    run_to_the_end(worker)
    charge.refresh_from_db()
    assert (charge.state, charge.unknown_since) == ("succeeded", None)
    [payment] = double.payments(str(charge.pk))
    assert (payment["status"], payment["amount_received"]) == ("succeeded", charge.amount_minor)
    assert stated_types() == ["payment.unknown", "payment.confirmed"]
