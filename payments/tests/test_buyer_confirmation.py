"""The buyer has to confirm a payment (3-D Secure): in time, too late, not at all, or of an order that ends."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from devtools.testing.payments.charges import (
    PRICE,
    answer,
    ask_for,
    charge_request,
    history,
    prevent_charge,
    stated_types,
    undo,
)
from devtools.testing.payments.sandbox_bank import InProcessGateway, entered
from devtools.testing.payments.worker_runs import make_due, run, run_to_the_end
from events import catalogue
from kafka_bridge import testing
from payments import charges, gateway_calls
from payments.gateway_worker import GatewayWorker
from payments.gateways import PaymentStatus
from payments.models import Charge
from payments.state_machine import claiming

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]


def waiting_for_the_buyer(sandbox_gateway: InProcessGateway, **changes: Any) -> Charge:
    with transaction.atomic():
        charges.request_charges(requests=[charge_request(uuid4(), "pm_3ds", **changes)])
    run(GatewayWorker())
    charge = Charge.objects.get()
    assert charge.state == "action_required"
    return charge


def test_the_buyer_confirms(sandbox_gateway: InProcessGateway) -> None:
    charge = waiting_for_the_buyer(sandbox_gateway)
    [asked] = testing.stated()
    assert isinstance(asked, catalogue.PaymentActionRequired)
    assert (asked.url, asked.until) == (charge.action_url, charge.act_by)
    assert charge.action_url.startswith("http")
    sandbox_gateway.bank.confirm(charge.transaction_id)
    run_to_the_end(GatewayWorker())
    assert stated_types() == ["payment.action_required", "payment.confirmed"]
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE)]


def test_the_buyer_refuses(sandbox_gateway: InProcessGateway) -> None:
    charge = waiting_for_the_buyer(sandbox_gateway)
    sandbox_gateway.bank.refuse(charge.transaction_id)
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert (charge.state, charge.failure_reason) == ("failed", "not confirmed by the cardholder")
    assert stated_types() == ["payment.action_required", "payment.failed"]


def test_the_deadline_is_the_end_of_the_hold_if_that_comes_first(
    settings: Any, sandbox_gateway: InProcessGateway
) -> None:
    soon = timezone.now() + timedelta(seconds=60)
    assert waiting_for_the_buyer(sandbox_gateway, until=soon).act_by == soon


def test_the_deadline_is_no_later_than_the_setting(settings: Any, sandbox_gateway: InProcessGateway) -> None:
    settings.PAYMENT_ACTION_SECONDS = 100
    late = timezone.now() + timedelta(seconds=6000)
    act_by = waiting_for_the_buyer(sandbox_gateway, until=late).act_by
    assert act_by is not None
    assert abs(act_by - timezone.now() - timedelta(seconds=100)) < timedelta(seconds=20)


def test_a_buyer_who_does_nothing_is_not_waited_for(sandbox_gateway: InProcessGateway) -> None:
    charge = waiting_for_the_buyer(sandbox_gateway)
    make_due()
    run(GatewayWorker())
    charge.refresh_from_db()
    assert charge.state == "action_required", "the time is not over"
    Charge.objects.update(act_by=timezone.now() - timedelta(seconds=60))
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert (charge.state, charge.failure_reason) == ("cancelled", "not confirmed in time")
    assert stated_types() == ["payment.action_required", "payment.failed"]
    assert sandbox_gateway.bank.find(key=str(charge.pk)).standing is PaymentStatus.VOIDED  # type: ignore[union-attr]


def test_a_buyer_who_confirmed_in_the_last_moment_has_paid(sandbox_gateway: InProcessGateway) -> None:
    """There is one last look after the deadline."""
    charge = waiting_for_the_buyer(sandbox_gateway)
    sandbox_gateway.bank.confirm(charge.transaction_id)
    Charge.objects.update(act_by=timezone.now() - timedelta(seconds=60))
    run_to_the_end(GatewayWorker())
    assert stated_types() == ["payment.action_required", "payment.confirmed"]


def test_a_look_that_began_before_the_deadline_is_not_the_last_one(sandbox_gateway: InProcessGateway) -> None:
    waiting_for_the_buyer(sandbox_gateway)
    make_due()
    [looking] = claiming.claim_charges(limit=1)
    outcome = gateway_calls.carry_out(looking)
    Charge.objects.update(act_by=timezone.now())
    answer(looking, outcome)
    assert Charge.objects.get().state == "action_required"


@pytest.mark.parametrize("end", [undo, prevent_charge])
def test_an_order_that_ends_while_its_buyer_is_asked_is_voided(sandbox_gateway: InProcessGateway, end: Any) -> None:
    charge = waiting_for_the_buyer(sandbox_gateway)
    end(charge.order_id)
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert charge.state == "cancelled"
    sandbox_gateway.bank.confirm(charge.transaction_id)
    run_to_the_end(GatewayWorker())
    assert (entered(sandbox_gateway)[-1:], stated_types()) == ([("void", PRICE)], ["payment.action_required"])


def test_a_webhook_while_we_are_asking_has_us_ask_again(sandbox_gateway: InProcessGateway) -> None:
    """What we hear may be older than the webhook."""
    charge = waiting_for_the_buyer(sandbox_gateway)
    make_due()
    [looking] = claiming.claim_charges(limit=1)
    outcome = gateway_calls.carry_out(looking)
    sandbox_gateway.bank.confirm(charge.transaction_id)
    webhook = catalogue.PaymentNotified(
        order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, notice_id="evt_1"
    )
    testing.give("payments", webhook)
    answer(looking, outcome)
    run(GatewayWorker())
    assert stated_types() == ["payment.action_required", "payment.confirmed"]


def test_a_webhook_leaves_a_first_call_alone(sandbox_gateway: InProcessGateway) -> None:
    [order_id] = ask_for("pm_success")
    [claimed] = claiming.claim_charges(limit=1)
    webhook = catalogue.PaymentNotified(order_id=order_id, flow=claimed.flow, charge_id=claimed.pk, notice_id="evt_1")
    testing.give("payments", webhook)
    assert claiming.claim_charges(limit=1) == []
    assert history()[-1] == ("webhook", "requested")
