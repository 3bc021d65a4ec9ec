"""What may be asked for, and what becomes of a charge whose order ends: barred, let go, or given back once."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from devtools.testing.payments.charges import (
    PRICE,
    answer,
    ask_for,
    charge_request,
    claim,
    prevent_charge,
    stated_types,
    undo,
)
from devtools.testing.payments.sandbox_bank import InProcessGateway, entered
from devtools.testing.payments.worker_runs import make_due, run, take_one_step
from payments import charges, gateway_calls
from payments.gateway_worker import GatewayWorker
from payments.gateways import PaymentStatus, Unknown
from payments.models import Charge, Refund
from payments.state_machine import claiming
from payments.state_machine.transitions import GatewayAnswer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": 0},
        {"amount_minor": -1999},
        {"amount_minor": 10**12 + 1},
        {"amount_minor": PRICE + 1},
        {"currency": ""},
        {"currency": "usd"},
        {"currency": "DOLLARS"},
    ],
)
def test_a_sum_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    order_id = uuid4()
    with pytest.raises(charges.ImpossibleSum, match=str(order_id)), transaction.atomic():
        charges.request_charges(requests=[charge_request(order_id, **changes)])
    assert not Charge.objects.exists()


def test_an_order_cancelled_before_the_call_is_never_charged(sandbox_gateway: InProcessGateway) -> None:
    early, never = ask_for("pm_success")[0], uuid4()
    undo(early, never)
    with transaction.atomic():
        charges.request_charges(requests=[charge_request(never)])
    run(GatewayWorker())
    assert entered(sandbox_gateway) == []
    assert set(Charge.objects.values_list("order_id", "state")) == {(early, "cancelled"), (never, "cancelled")}
    assert stated_types() == []


def test_an_order_cancelled_while_it_is_being_authorized_is_voided(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 13: nothing was taken yet, so nothing has to go back."""
    [order_id] = ask_for("pm_success")
    charge = claim()
    undo(order_id)
    undo(order_id)
    answer(charge, gateway_calls.carry_out(charge))
    run(GatewayWorker())
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("void", PRICE)]
    assert (Charge.objects.get().state, stated_types()) == ("cancelled", [])


def test_an_order_cancelled_while_it_is_being_captured_is_refunded_once(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 13: the money moves at this moment, and goes back by itself."""
    [order_id] = ask_for("pm_success")
    worker = GatewayWorker()
    take_one_step()
    charge = claim()
    undo(order_id)
    assert prevent_charge(order_id) == set(), "that nothing is taken can no longer be promised"
    answer(charge, gateway_calls.carry_out(charge))
    run(worker)
    undo(order_id)
    run(worker)
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE), ("refund", PRICE)]
    assert stated_types() == ["payment.confirmed", "payment.refunded"]


def test_an_order_cancelled_after_the_capture_is_refunded_once(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 11: as where a paid order finds no stock."""
    [order_id] = ask_for("pm_success")
    worker = GatewayWorker()
    run(worker)
    for _ in range(3):
        undo(order_id)
        run(worker)
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE), ("refund", PRICE)]
    assert stated_types() == ["payment.confirmed", "payment.refunded"]
    assert Refund.objects.get().reason == "test"


def test_a_refusal_that_comes_after_the_money_is_in_changes_nothing(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 12: a second worker hears of an earlier call; the charge has moved on, and stays where it is."""
    ask_for("pm_success")
    [stale] = claiming.claim_charges(limit=1)
    make_due()
    run(GatewayWorker())
    for late in (GatewayAnswer(standing=PaymentStatus.DECLINED, reason="too late"), Unknown("too late")):
        answer(stale, late)
    assert (Charge.objects.get().state, stated_types()) == ("succeeded", ["payment.confirmed"])


def test_a_hold_that_runs_out_bars_what_is_authorized(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 14: the hold won; what was set aside is let go, and never captured."""
    [order_id] = ask_for("pm_success")
    take_one_step()
    assert prevent_charge(order_id) == {order_id}
    run(GatewayWorker())
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("void", PRICE)]
    assert (Charge.objects.get().state, stated_types()) == ("cancelled", [])
