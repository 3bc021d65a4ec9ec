"""A gateway that accepts connections and says nothing, or behind a network that drops everything."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from devtools.testing import black_hole, tcp_proxy
from devtools.testing.payments.charges import ask_for, stated_types
from devtools.testing.payments.stripe_process import Double
from devtools.testing.payments.worker_runs import run, run_to_the_end
from payments import checks, gateways
from payments.gateway_worker import GatewayWorker
from payments.models import Charge

pytestmark = [pytest.mark.money, pytest.mark.security, pytest.mark.faults, pytest.mark.django_db(transaction=True)]
TIMEOUT_SECONDS = 1.0
BUSY_SECONDS = 20.0
"""So much later a call may be given up on a busy machine; TCP alone would try for two minutes."""
SANDBOX = "payments.gateways.sandbox.SandboxGateway"


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
    assert time.monotonic() - began < TIMEOUT_SECONDS + BUSY_SECONDS
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


@pytest.fixture(params=[SANDBOX, checks.STRIPE])
def unreachable(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    """Whatever is sent to the gateway is dropped."""
    with black_hole.black_hole() as port:
        settings.PAYMENT_GATEWAY, settings.PAYMENT_TIMEOUT_SECONDS = request.param, TIMEOUT_SECONDS
        settings.SANDBOX_URL = settings.STRIPE_API_BASE = f"http://127.0.0.1:{port}"
        settings.STRIPE_SECRET_KEY = "sk_test_nobody"
        gateways.current.cache_clear()
        yield
    gateways.current.cache_clear()


def test_xe5_a_gateway_behind_which_everything_is_dropped_is_waited_out(unreachable: None) -> None:
    ask_for("pm_success")
    began = time.monotonic()
    run(GatewayWorker())
    assert time.monotonic() - began < TIMEOUT_SECONDS + BUSY_SECONDS
    charge = Charge.objects.get()
    assert (charge.state, charge.unknown_since is not None) == ("requested", True)
    assert stated_types() == ["payment.unknown"]
