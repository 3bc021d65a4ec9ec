"""Staff act at the gateway itself, past us: its books count, and a person looks at what does not fit."""

import pytest

from devtools.testing.payments.charges import PRICE, ask_for, stated_types, undo
from devtools.testing.payments.sandbox_bank import InProcessGateway, entered
from devtools.testing.payments.worker_runs import make_due, run, run_to_the_end, take_one_step
from payments.gateway_worker import GatewayWorker
from payments.models import Charge, Refund, Review

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]


def authorized(sandbox_gateway: InProcessGateway) -> Charge:
    """A charge that is set aside, and due."""
    ask_for("pm_success")
    take_one_step()
    return Charge.objects.get()


def test_what_staff_captured_at_the_gateway_is_captured(sandbox_gateway: InProcessGateway) -> None:
    """It refuses our capture, and its books say why."""
    charge = authorized(sandbox_gateway)
    sandbox_gateway.bank.capture(key="by hand", transaction_id=charge.transaction_id, amount_minor=PRICE)
    run_to_the_end(GatewayWorker())
    assert (Charge.objects.get().state, stated_types()) == ("succeeded", ["payment.confirmed"])
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE)]


def test_what_staff_let_go_at_the_gateway_has_failed(sandbox_gateway: InProcessGateway) -> None:
    charge = authorized(sandbox_gateway)
    sandbox_gateway.bank.void(key="by hand", transaction_id=charge.transaction_id)
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert (charge.state, charge.failure_reason) == ("failed", "the payment was withdrawn at the bank")
    assert stated_types() == ["payment.failed"]


def test_what_staff_captured_of_an_order_that_is_over_goes_back_and_is_looked_at(
    sandbox_gateway: InProcessGateway,
) -> None:
    charge = authorized(sandbox_gateway)
    undo(charge.order_id)
    sandbox_gateway.bank.capture(key="by hand", transaction_id=charge.transaction_id, amount_minor=PRICE)
    run_to_the_end(GatewayWorker())
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE), ("refund", PRICE)]
    assert stated_types() == ["payment.confirmed", "payment.refunded"]
    review = Review.objects.get()
    assert (review.kind, review.charge, review.closed_at) == ("void_refused", charge, None)


def test_what_staff_paid_back_at_the_gateway_is_refused_to_us_and_looked_at(sandbox_gateway: InProcessGateway) -> None:
    ask_for("pm_success")
    run(GatewayWorker())
    charge = Charge.objects.get()
    sandbox_gateway.bank.refund(key="by hand", transaction_id=charge.transaction_id, amount_minor=1)
    undo(charge.order_id)
    worker = GatewayWorker()
    for _ in range(5):
        run(worker)
        make_due()
    refund = Refund.objects.get()
    assert (refund.state, refund.attempts) == ("requested", 5)
    assert (Review.objects.get().kind, Review.objects.get().subject) == ("refund_refused", str(refund.pk))
    assert entered(sandbox_gateway)[2:] == [("refund", 1)]
