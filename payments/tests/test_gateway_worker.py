"""Charging: concurrently, outside of transactions, and the same keys for ever."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from devtools.testing.payments.charges import PRICE, answer, ask_for, claim, history, stated_types
from devtools.testing.payments.sandbox_bank import InProcessGateway, entered
from devtools.testing.payments.worker_runs import make_due, run, run_to_the_end, take_one_step
from events import catalogue
from kafka_bridge import testing
from payments import gateway_calls, gateways, queries
from payments.gateway_worker import GatewayWorker
from payments.gateways import Answer, Unknown
from payments.models import Charge
from payments.state_machine import claiming, settlement

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]


# -- The ordinary way -----------------------------------------------------------------------------------
def test_the_answers_become_facts(sandbox_gateway: InProcessGateway) -> None:
    good, bad, odd = ask_for("pm_success", "pm_declined", "pm_nobody_knows")
    run(GatewayWorker())
    told = {event.key: event for event in testing.stated()}
    confirmed = told[str(good)]
    assert isinstance(confirmed, catalogue.PaymentConfirmed)
    assert (confirmed.amount_minor, confirmed.currency, confirmed.lines[0].sku) == (PRICE, "USD", "a")
    for order_id, reason in ((bad, "card declined"), (odd, "unknown card")):
        failed = told[str(order_id)]
        assert isinstance(failed, catalogue.PaymentFailed)
        assert failed.reason == reason
    assert queries.paid_orders([good, bad, odd]) == {good}
    charge = Charge.objects.get(order_id=good)
    assert queries.captured([good, bad]) == {good: (charge.pk, PRICE, "USD")}
    assert [(entry.key, entry.transaction_id) for entry in sandbox_gateway.bank.entries() if not entry.declined] == [
        (str(charge.pk), confirmed.transaction_id),
        (gateway_calls.capture_key(charge), confirmed.transaction_id),
    ]


def test_the_history_tells_each_step(sandbox_gateway: InProcessGateway) -> None:
    ask_for("pm_success")
    run(GatewayWorker())
    assert history() == [("requested", "requested"), ("authorized", "authorized"), ("captured", "succeeded")]


def test_what_is_authorized_is_captured_at_once(sandbox_gateway: InProcessGateway) -> None:
    """And before what has not been begun, however much that is."""
    [first] = ask_for("pm_success")
    take_one_step()
    ask_for(*["pm_success"] * 5)
    [next_one] = claiming.claim_charges(limit=1)
    assert (next_one.order_id, next_one.state, next_one.attempts) == (first, "capturing", 1)


def test_calls_run_beside_each_other(settings: Any, sandbox_gateway: InProcessGateway) -> None:
    """Eight calls that each wait for all others to have begun: one after the other they would never end."""
    settings.PAYMENT_CONCURRENT_CALLS = 8
    settings.PAYMENT_GATEWAY = f"{__name__}.MeetingGateway"
    gateways.current.cache_clear()
    ask_for(*["pm_success"] * 8)
    run(GatewayWorker())
    assert Charge.objects.filter(state="succeeded").count() == 8


class MeetingGateway(InProcessGateway):
    """Authorizes once eight calls are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.together = threading.Barrier(8)

    def authorize(self, **call: Any) -> Answer:
        self.together.wait(10)
        return super().authorize(**call)


def test_a_gateway_that_is_left_alone_is_not_asked_in_vain(settings: Any, sandbox_gateway: InProcessGateway) -> None:
    settings.PAYMENT_BREAKER_FAILURES = 1
    gateways.current.cache_clear()
    breaker = gateways.current().breaker
    if ticket := breaker.admit():
        breaker.note(ticket, answered=False)
    ask_for("pm_success")
    run(GatewayWorker())
    assert Charge.objects.get().attempts == 0


# -- Crashes, and answers that get lost -------------------------------------------------------------------
@pytest.mark.parametrize("step", ["authorization", "capture"])
def test_a_crash_between_the_call_and_our_note_of_it_takes_once(sandbox_gateway: InProcessGateway, step: str) -> None:
    [order_id] = ask_for("pm_success")
    charge = claim()
    outcome = gateway_calls.carry_out(charge)
    if step == "capture":
        answer(charge, outcome)
        charge = claim()
        gateway_calls.carry_out(charge)
    assert claiming.claim_charges(limit=1) == [], "leased to the process that is dead now"
    make_due()
    run(GatewayWorker())
    assert queries.paid_orders([order_id]) == {order_id}
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE)]


def test_a_lease_outlives_any_call(settings: Any) -> None:
    for seconds in (0.5, 10.0, 60.0):
        settings.PAYMENT_TIMEOUT_SECONDS = seconds
        assert claiming.lease() > timedelta(seconds=seconds)


@pytest.mark.parametrize("late", ["first", "last"])
def test_of_two_answers_for_one_step_the_one_that_knows_counts(sandbox_gateway: InProcessGateway, late: str) -> None:
    """A call took longer than its lease, so a second one was made; both answers come in together."""
    [order_id] = ask_for("pm_success")
    [first] = claiming.claim_charges(limit=1)
    make_due()
    [second] = claiming.claim_charges(limit=1)
    answers = [(first, Unknown("no answer in time")), (second, gateway_calls.carry_out(second))]
    with transaction.atomic():
        settlement.settle(charges=answers if late == "last" else answers[::-1])
    charge = Charge.objects.get(order_id=order_id)
    assert (charge.state, charge.unknown_since) == ("authorized", None)
    assert stated_types() == []
    run_to_the_end(GatewayWorker())
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE)]


def test_an_unknown_outcome_is_asked_again_with_the_same_key(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 1: the bank sets aside and takes, and each first answer is lost."""
    ask_for("pm_charges_then_times_out")
    worker = GatewayWorker()
    run(worker)
    charge = Charge.objects.get()
    assert (charge.state, charge.attempts, charge.unknown_since is not None) == ("requested", 1, True)
    assert stated_types() == ["payment.unknown"]
    run_to_the_end(worker)
    charge.refresh_from_db()
    assert (charge.state, charge.unknown_since) == ("succeeded", None)
    assert [entry.key for entry in sandbox_gateway.bank.entries()] == [
        str(charge.pk),
        gateway_calls.capture_key(charge),
    ]
    assert stated_types() == ["payment.unknown", "payment.confirmed"]
    assert history() == [
        ("requested", "requested"),
        ("authorization unknown", "requested"),
        ("authorized", "authorized"),
        ("capture unknown", "capturing"),
        ("captured", "succeeded"),
    ]


def test_a_call_that_was_never_heard_is_made_again(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 1, the other half of it."""
    ask_for("pm_times_out_before")
    run_to_the_end(GatewayWorker())
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE)]
    assert stated_types() == ["payment.unknown", "payment.confirmed"]


def test_from_the_fourth_call_on_the_gateway_is_asked_first(settings: Any, sandbox_gateway: InProcessGateway) -> None:
    settings.PAYMENT_GATEWAY = f"{__name__}.MuteGateway"
    gateways.current.cache_clear()
    mute = gateways.current().gateway
    assert isinstance(mute, MuteGateway)
    ask_for("pm_success")
    run_to_the_end(GatewayWorker())
    assert mute.asked == ["authorize"] * 3 + ["find"] + ["capture"] * 3 + ["find"]
    assert entered(sandbox_gateway) == [("authorization", PRICE), ("capture", PRICE)]


class MuteGateway(InProcessGateway):
    """Does what it is told, and never says so; what it knows it tells."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def authorize(self, **call: Any) -> Answer:
        self.asked.append("authorize")
        super().authorize(**call)
        return Unknown("mute")

    def capture(self, **call: Any) -> Answer:
        self.asked.append("capture")
        super().capture(**call)
        return Unknown("mute")

    def find(self, **call: Any) -> Any:
        self.asked.append("find")
        return super().find(**call)
