"""Whole stories of charges with the Stripe gateway: our rows, the gateway worker, the real SDK, a double of Stripe."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from devtools.testing.payments.stripe_process import Double
from events import catalogue
from kafka_bridge import testing
from payments import charges, checks, gateways
from payments.gateway_worker import GatewayWorker
from payments.models import Charge, Refund

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


def ask_for(card: str) -> UUID:
    """A charge; the id of its order."""
    order_id = uuid4()
    due = charges.ChargeRequest(
        order_id=order_id, flow="reserve_first", amount_minor=1999, currency="USD", payment_method=card, lines=()
    )
    with transaction.atomic():
        charges.request_charges(requests=[due])
    return order_id


def run(worker: GatewayWorker) -> None:
    """Until there is nothing to do."""
    testing.wait_until(lambda: not worker.work(), what="an idle worker")


def time_passes() -> None:
    """Whatever waits for its time is due."""
    earlier = timezone.now() - timedelta(seconds=1)
    Charge.objects.filter(state__in=Charge.OPEN).update(next_attempt_at=earlier)
    Refund.objects.filter(state=Refund.State.REQUESTED).update(next_attempt_at=earlier)


def cancelled(order_id: UUID) -> catalogue.OrderCancelled:
    return catalogue.OrderCancelled(
        order_id=order_id, flow="reserve_first", reason="test", total_minor=1999, currency="USD", was_confirmed=False
    )


def stated() -> list[str]:
    return [event.TYPE for event in testing.stated()]


def at_stripe(double: Double) -> dict[str, Any]:
    """The one payment of the one charge, by the double's books."""
    [payment] = double.payments(str(Charge.objects.get().pk))
    return payment


def test_taken_and_given_back(double: Double, worker: GatewayWorker) -> None:
    order_id = ask_for("pm_card_visa")
    run(worker)
    charge = Charge.objects.get()
    assert (charge.state, charge.transaction_id) == (Charge.State.SUCCEEDED, at_stripe(double)["id"])
    with transaction.atomic():
        charges.undo(cancelled=[cancelled(order_id)])
    run(worker)
    assert stated() == ["payment.confirmed", "payment.refunded"]
    assert at_stripe(double)["status"] == "succeeded"
    found = gateways.current().find(key=str(charge.pk))
    assert isinstance(found, gateways.Payment)
    assert (found.captured_minor, found.refunded_minor) == (1999, 1999)


def test_declined(double: Double, worker: GatewayWorker) -> None:
    ask_for("pm_card_visa_chargeDeclinedInsufficientFunds")
    run(worker)
    charge = Charge.objects.get()
    assert (charge.state, charge.failure_reason) == (Charge.State.FAILED, "insufficient funds")
    assert stated() == ["payment.failed"]


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
    time_passes()
    run(worker)
    charge.refresh_from_db()
    assert charge.state == state
    assert stated() == ["payment.action_required", last]


def test_the_order_ends_while_the_buyer_is_asked(double: Double, worker: GatewayWorker) -> None:
    order_id = ask_for("pm_card_authenticationRequired")
    run(worker)
    with transaction.atomic():
        charges.undo(cancelled=[cancelled(order_id)])
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
    time_passes()
    run(worker)
    charge.refresh_from_db()
    assert (charge.state, charge.unknown_since) == (Charge.State.SUCCEEDED, None)
    assert at_stripe(double)["amount_received"] == 1999
    assert stated() == ["payment.unknown", "payment.confirmed"]


def test_an_outage_in_which_keys_are_forgotten(double: Double, worker: GatewayWorker) -> None:
    """After the third time Stripe is asked first: a payment whose key it has forgotten is found, not made again."""
    ask_for("pm_card_visa")
    double.trouble({"do": "lose"}, *[{"do": "refuse", "status": 503}] * 2)
    for _ in range(3):
        run(worker)
        time_passes()
    double.forget_keys()
    run(worker)
    assert Charge.objects.get().state == Charge.State.SUCCEEDED
    assert at_stripe(double)["status"] == "succeeded"
