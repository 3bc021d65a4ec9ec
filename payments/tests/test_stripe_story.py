"""Whole stories of charges with the Stripe gateway: our rows, the gateway worker, the real SDK, a double of Stripe."""

from collections.abc import Iterator
from typing import Any

import pytest

from devtools.testing.payments.charges import ask_for, stated_types, undo
from devtools.testing.payments.stripe_process import Double
from devtools.testing.payments.worker_runs import make_due, run
from payments import checks, gateways
from payments.gateway_worker import GatewayWorker
from payments.models import Charge

pytestmark = [pytest.mark.money, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _by_stripe(settings: Any, double: Double) -> Iterator[None]:
    double.trouble()
    settings.PAYMENT_GATEWAY = checks.STRIPE
    settings.STRIPE_SECRET_KEY = "sk_test_double"
    settings.STRIPE_API_BASE = double.url
    settings.PAYMENT_TIMEOUT_SECONDS = 1.0
    gateways.current.cache_clear()
    yield
    gateways.current.cache_clear()


@pytest.fixture
def worker() -> GatewayWorker:
    """One with no calls under way."""
    return GatewayWorker()


def at_stripe(double: Double) -> dict[str, Any]:
    """The one payment of the one charge, by the double's books."""
    [payment] = double.payments(str(Charge.objects.get().pk))
    return payment


def test_taken_and_given_back(double: Double, worker: GatewayWorker) -> None:
    [order_id] = ask_for("pm_card_visa")
    run(worker)
    charge = Charge.objects.get()
    assert (charge.state, charge.transaction_id) == (Charge.State.SUCCEEDED, at_stripe(double)["id"])
    undo(order_id)
    run(worker)
    assert stated_types() == ["payment.confirmed", "payment.refunded"]
    assert at_stripe(double)["status"] == "succeeded"
    found = gateways.current().find(key=str(charge.pk))
    assert isinstance(found, gateways.Payment)
    assert (found.captured_minor, found.refunded_minor) == (1999, 1999)


def test_declined(double: Double, worker: GatewayWorker) -> None:
    ask_for("pm_card_visa_chargeDeclinedInsufficientFunds")
    run(worker)
    charge = Charge.objects.get()
    assert (charge.state, charge.failure_reason) == (Charge.State.FAILED, "insufficient funds")
    assert stated_types() == ["payment.failed"]


@pytest.mark.parametrize(
    ("success", "state", "last"),
    [(True, Charge.State.SUCCEEDED, "payment.confirmed"), (False, Charge.State.FAILED, "payment.failed")],
)
def test_the_buyer_is_asked(
    double: Double, worker: GatewayWorker, success: bool, state: Charge.State, last: str
) -> None:
    ask_for("pm_card_authenticationRequired")
    run(worker)
    charge = Charge.objects.get()
    assert charge.state == Charge.State.ACTION_REQUIRED
    assert charge.action_url.startswith("https://hooks.stripe.com/")
    double.confirm(charge.transaction_id, success=success)
    make_due()
    run(worker)
    charge.refresh_from_db()
    assert charge.state == state
    assert stated_types() == ["payment.action_required", last]


def test_the_order_ends_while_the_buyer_is_asked(double: Double, worker: GatewayWorker) -> None:
    [order_id] = ask_for("pm_card_authenticationRequired")
    run(worker)
    undo(order_id)
    run(worker)
    assert Charge.objects.get().state == Charge.State.CANCELLED
    assert at_stripe(double)["status"] == "canceled"


@pytest.mark.parametrize("trouble", ["lose", "refuse"])
@pytest.mark.parametrize("step", [0, 1], ids=["authorize", "capture"])
def test_an_answer_gets_lost(double: Double, worker: GatewayWorker, step: int, trouble: str) -> None:
    """FAILURES 1: carried out and unheard, or not carried out: the same key again, and one payment."""
    ask_for("pm_card_visa")
    double.trouble(*[{"do": "pass"}] * step, {"do": trouble, "status": 500})
    run(worker)
    charge = Charge.objects.get()
    assert (charge.state, charge.unknown_since is None) == (
        Charge.State.CAPTURING if step else Charge.State.REQUESTED,
        False,
    )
    make_due()
    run(worker)
    charge.refresh_from_db()
    assert (charge.state, charge.unknown_since) == (Charge.State.SUCCEEDED, None)
    assert at_stripe(double)["amount_received"] == 1999
    assert stated_types() == ["payment.unknown", "payment.confirmed"]


def test_an_outage_in_which_keys_are_forgotten(double: Double, worker: GatewayWorker) -> None:
    """After the third time Stripe is asked first: a payment whose key it has forgotten is found, not made again."""
    ask_for("pm_card_visa")
    double.trouble({"do": "lose"}, *[{"do": "refuse", "status": 503}] * 2)
    for _ in range(3):
        run(worker)
        make_due()
    double.forget_keys()
    run(worker)
    assert Charge.objects.get().state == Charge.State.SUCCEEDED
    assert at_stripe(double)["status"] == "succeeded"
