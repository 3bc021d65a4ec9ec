"""Charging: concurrently, outside of transactions, and the same keys for ever."""

import threading
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from devtools.testing.payments.charges import PRICE, ask_for, charge_request, prevent_charge, undo
from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.payments.worker_runs import make_due, run, run_to_the_end
from events import catalogue
from kafka_bridge import testing
from payments import charges, gateway_calls, gateways, queries
from payments.gateway_worker import GatewayWorker
from payments.gateways import Answer, PaymentStatus, Unknown
from payments.models import Charge, ChargeEntry, Refund, Review
from payments.state_machine import settlement
from payments.state_machine.transitions import GatewayAnswer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]


@pytest.fixture
def bank(sandbox_gateway: InProcessGateway) -> InProcessGateway:
    """The sandbox with a ledger of the test's own."""
    return sandbox_gateway


def entered(bank: InProcessGateway) -> list[tuple[str, int]]:
    """What the bank has carried out, oldest first."""
    return [(entry.kind, entry.amount_minor) for entry in bank.bank.entries() if not entry.declined]


def said() -> list[str]:
    """What was stated, oldest first."""
    return [event.TYPE for event in testing.stated()]


def history() -> list[tuple[str, str]]:
    """The lines of all histories, and the states after them."""
    return list(ChargeEntry.objects.values_list("what", "state"))


# -- The ordinary way -----------------------------------------------------------------------------------
def test_the_answers_become_facts(bank: InProcessGateway) -> None:
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
    assert [(entry.key, entry.transaction_id) for entry in bank.bank.entries() if not entry.declined] == [
        (str(charge.pk), confirmed.transaction_id),
        (gateway_calls.capture_key(charge), confirmed.transaction_id),
    ]


def test_the_history_tells_each_step(bank: InProcessGateway) -> None:
    ask_for("pm_success")
    run(GatewayWorker())
    assert history() == [("requested", "requested"), ("authorized", "authorized"), ("captured", "succeeded")]


def test_what_is_authorized_is_captured_at_once(bank: InProcessGateway) -> None:
    """And before what has not been begun, however much that is."""
    [first] = ask_for("pm_success")
    [charge] = settlement.claim_charges(limit=1)
    with transaction.atomic():
        settlement.settle(charges=[(charge, gateway_calls.carry_out(charge))])
    ask_for(*["pm_success"] * 5)
    [next_one] = settlement.claim_charges(limit=1)
    assert (next_one.order_id, next_one.state, next_one.attempts) == (first, "capturing", 1)


def test_calls_run_beside_each_other(settings: Any, bank: InProcessGateway) -> None:
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


def test_a_gateway_that_is_left_alone_is_not_asked_in_vain(settings: Any, bank: InProcessGateway) -> None:
    settings.PAYMENT_BREAKER_FAILURES = 1
    gateways.current.cache_clear()
    breaker = gateways.current().breaker
    if ticket := breaker.admit():
        breaker.note(ticket, answered=False)
    ask_for("pm_success")
    run(GatewayWorker())
    assert Charge.objects.get().attempts == 0


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


# -- Crashes, and answers that get lost -------------------------------------------------------------------
@pytest.mark.parametrize("step", ["authorization", "capture"])
def test_a_crash_between_the_call_and_our_note_of_it_takes_once(bank: InProcessGateway, step: str) -> None:
    [order_id] = ask_for("pm_success")
    [charge] = settlement.claim_charges(limit=1)
    heard = gateway_calls.carry_out(charge)
    if step == "capture":
        with transaction.atomic():
            settlement.settle(charges=[(charge, heard)])
        [charge] = settlement.claim_charges(limit=1)
        gateway_calls.carry_out(charge)
    assert settlement.claim_charges(limit=1) == [], "leased to the process that is dead now"
    make_due()
    run(GatewayWorker())
    assert queries.paid_orders([order_id]) == {order_id}
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE)]


def test_a_lease_outlives_any_call(settings: Any) -> None:
    for seconds in (0.5, 10.0, 60.0):
        settings.PAYMENT_TIMEOUT_SECONDS = seconds
        assert settlement.lease() > timedelta(seconds=seconds)


@pytest.mark.parametrize("late", ["first", "last"])
def test_of_two_answers_for_one_step_the_one_that_knows_counts(bank: InProcessGateway, late: str) -> None:
    """A call took longer than its lease, so a second one was made; both answers come in together."""
    [order_id] = ask_for("pm_success")
    [first] = settlement.claim_charges(limit=1)
    make_due()
    [second] = settlement.claim_charges(limit=1)
    answers = [(first, Unknown("no answer in time")), (second, gateway_calls.carry_out(second))]
    with transaction.atomic():
        settlement.settle(charges=answers if late == "last" else answers[::-1])
    charge = Charge.objects.get(order_id=order_id)
    assert (charge.state, charge.unknown_since) == ("authorized", None)
    assert said() == []
    run_to_the_end(GatewayWorker())
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE)]


def test_an_unknown_outcome_is_asked_again_with_the_same_key(bank: InProcessGateway) -> None:
    """FAILURES 1: the bank sets aside and takes, and each first answer is lost."""
    ask_for("pm_charges_then_times_out")
    worker = GatewayWorker()
    run(worker)
    charge = Charge.objects.get()
    assert (charge.state, charge.attempts, charge.unknown_since is not None) == ("requested", 1, True)
    assert said() == ["payment.unknown"]
    run_to_the_end(worker)
    charge.refresh_from_db()
    assert (charge.state, charge.unknown_since) == ("succeeded", None)
    assert [entry.key for entry in bank.bank.entries()] == [str(charge.pk), gateway_calls.capture_key(charge)]
    assert said() == ["payment.unknown", "payment.confirmed"]
    assert history() == [
        ("requested", "requested"),
        ("authorization unknown", "requested"),
        ("authorized", "authorized"),
        ("capture unknown", "capturing"),
        ("captured", "succeeded"),
    ]


def test_a_call_that_was_never_heard_is_made_again(bank: InProcessGateway) -> None:
    """FAILURES 1, the other half of it."""
    ask_for("pm_times_out_before")
    run_to_the_end(GatewayWorker())
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE)]
    assert said() == ["payment.unknown", "payment.confirmed"]


def test_from_the_fourth_call_on_the_gateway_is_asked_first(settings: Any, bank: InProcessGateway) -> None:
    settings.PAYMENT_GATEWAY = f"{__name__}.MuteGateway"
    gateways.current.cache_clear()
    mute = gateways.current().gateway
    assert isinstance(mute, MuteGateway)
    ask_for("pm_success")
    run_to_the_end(GatewayWorker())
    assert mute.asked == ["authorize"] * 3 + ["find"] + ["capture"] * 3 + ["find"]
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE)]


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


# -- The buyer changes their mind --------------------------------------------------------------------------
def test_an_order_cancelled_before_the_call_is_never_charged(bank: InProcessGateway) -> None:
    early, never = ask_for("pm_success")[0], uuid4()
    undo(early, never)
    with transaction.atomic():
        charges.request_charges(requests=[charge_request(never)])
    run(GatewayWorker())
    assert entered(bank) == []
    assert set(Charge.objects.values_list("order_id", "state")) == {(early, "cancelled"), (never, "cancelled")}
    assert said() == []


def test_an_order_cancelled_while_it_is_being_authorized_is_voided(bank: InProcessGateway) -> None:
    """FAILURES 13: nothing was taken yet, so nothing has to go back."""
    [order_id] = ask_for("pm_success")
    [charge] = settlement.claim_charges(limit=1)
    undo(order_id)
    undo(order_id)
    with transaction.atomic():
        settlement.settle(charges=[(charge, gateway_calls.carry_out(charge))])
    run(GatewayWorker())
    assert entered(bank) == [("authorization", PRICE), ("void", PRICE)]
    assert (Charge.objects.get().state, said()) == ("cancelled", [])


def test_an_order_cancelled_while_it_is_being_captured_is_refunded_once(bank: InProcessGateway) -> None:
    """FAILURES 13: the money moves at this moment, and goes back by itself."""
    [order_id] = ask_for("pm_success")
    worker = GatewayWorker()
    [charge] = settlement.claim_charges(limit=1)
    with transaction.atomic():
        settlement.settle(charges=[(charge, gateway_calls.carry_out(charge))])
    [charge] = settlement.claim_charges(limit=1)
    undo(order_id)
    assert prevent_charge(order_id) == set(), "that nothing is taken can no longer be promised"
    with transaction.atomic():
        settlement.settle(charges=[(charge, gateway_calls.carry_out(charge))])
    run(worker)
    undo(order_id)
    run(worker)
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE), ("refund", PRICE)]
    assert said() == ["payment.confirmed", "payment.refunded"]


def test_an_order_cancelled_after_the_capture_is_refunded_once(bank: InProcessGateway) -> None:
    """FAILURES 11: as where a paid order finds no stock."""
    [order_id] = ask_for("pm_success")
    worker = GatewayWorker()
    run(worker)
    for _ in range(3):
        undo(order_id)
        run(worker)
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE), ("refund", PRICE)]
    assert said() == ["payment.confirmed", "payment.refunded"]
    assert Refund.objects.get().reason == "test"


def test_a_refusal_that_comes_after_the_money_is_in_changes_nothing(bank: InProcessGateway) -> None:
    """FAILURES 12: a second worker hears of an earlier call; the charge has moved on, and stays where it is."""
    ask_for("pm_success")
    [stale] = settlement.claim_charges(limit=1)
    make_due()
    run(GatewayWorker())
    for late in (GatewayAnswer(standing=PaymentStatus.DECLINED, reason="too late"), Unknown("too late")):
        with transaction.atomic():
            settlement.settle(charges=[(stale, late)])
    assert (Charge.objects.get().state, said()) == ("succeeded", ["payment.confirmed"])


def test_a_hold_that_runs_out_bars_what_is_authorized(bank: InProcessGateway) -> None:
    """FAILURES 14: the hold won; what was set aside is let go, and never captured."""
    [order_id] = ask_for("pm_success")
    [charge] = settlement.claim_charges(limit=1)
    with transaction.atomic():
        settlement.settle(charges=[(charge, gateway_calls.carry_out(charge))])
    assert prevent_charge(order_id) == {order_id}
    run(GatewayWorker())
    assert entered(bank) == [("authorization", PRICE), ("void", PRICE)]
    assert (Charge.objects.get().state, said()) == ("cancelled", [])


# -- Staff act at the gateway, past us ------------------------------------------------------------------
def authorized(bank: InProcessGateway) -> Charge:
    """A charge that is set aside, and due."""
    ask_for("pm_success")
    [charge] = settlement.claim_charges(limit=1)
    with transaction.atomic():
        settlement.settle(charges=[(charge, gateway_calls.carry_out(charge))])
    return Charge.objects.get()


def test_what_staff_captured_at_the_gateway_is_captured(bank: InProcessGateway) -> None:
    """It refuses our capture, and its books say why."""
    charge = authorized(bank)
    bank.bank.capture(key="by hand", transaction_id=charge.transaction_id, amount_minor=PRICE)
    run_to_the_end(GatewayWorker())
    assert (Charge.objects.get().state, said()) == ("succeeded", ["payment.confirmed"])
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE)]


def test_what_staff_let_go_at_the_gateway_has_failed(bank: InProcessGateway) -> None:
    charge = authorized(bank)
    bank.bank.void(key="by hand", transaction_id=charge.transaction_id)
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert (charge.state, charge.failure_reason) == ("failed", "the payment was withdrawn at the bank")
    assert said() == ["payment.failed"]


def test_what_staff_captured_of_an_order_that_is_over_goes_back_and_is_looked_at(bank: InProcessGateway) -> None:
    charge = authorized(bank)
    undo(charge.order_id)
    bank.bank.capture(key="by hand", transaction_id=charge.transaction_id, amount_minor=PRICE)
    run_to_the_end(GatewayWorker())
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE), ("refund", PRICE)]
    assert said() == ["payment.confirmed", "payment.refunded"]
    review = Review.objects.get()
    assert (review.kind, review.charge, review.closed_at) == ("void_refused", charge, None)


def test_what_staff_paid_back_at_the_gateway_is_refused_to_us_and_looked_at(bank: InProcessGateway) -> None:
    ask_for("pm_success")
    run(GatewayWorker())
    charge = Charge.objects.get()
    bank.bank.refund(key="by hand", transaction_id=charge.transaction_id, amount_minor=1)
    undo(charge.order_id)
    worker = GatewayWorker()
    for _ in range(5):
        run(worker)
        make_due()
    refund = Refund.objects.get()
    assert (refund.state, refund.attempts) == ("requested", 5)
    assert (Review.objects.get().kind, Review.objects.get().subject) == ("refund_refused", str(refund.pk))
    assert entered(bank)[2:] == [("refund", 1)]


# -- The buyer confirms -----------------------------------------------------------------------------------
def waiting_for_the_buyer(bank: InProcessGateway, **changes: Any) -> Charge:
    with transaction.atomic():
        charges.request_charges(requests=[charge_request(uuid4(), "pm_3ds", **changes)])
    run(GatewayWorker())
    charge = Charge.objects.get()
    assert charge.state == "action_required"
    return charge


def test_the_buyer_confirms(bank: InProcessGateway) -> None:
    charge = waiting_for_the_buyer(bank)
    [asked] = testing.stated()
    assert isinstance(asked, catalogue.PaymentActionRequired)
    assert (asked.url, asked.until) == (charge.action_url, charge.act_by)
    assert charge.action_url.startswith("http")
    bank.bank.confirm(charge.transaction_id)
    run_to_the_end(GatewayWorker())
    assert said() == ["payment.action_required", "payment.confirmed"]
    assert entered(bank) == [("authorization", PRICE), ("capture", PRICE)]


def test_the_buyer_refuses(bank: InProcessGateway) -> None:
    charge = waiting_for_the_buyer(bank)
    bank.bank.refuse(charge.transaction_id)
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert (charge.state, charge.failure_reason) == ("failed", "not confirmed by the cardholder")
    assert said() == ["payment.action_required", "payment.failed"]


def test_the_deadline_is_the_end_of_the_hold_if_that_comes_first(settings: Any, bank: InProcessGateway) -> None:
    soon = timezone.now() + timedelta(seconds=60)
    assert waiting_for_the_buyer(bank, until=soon).act_by == soon


def test_the_deadline_is_no_later_than_the_setting(settings: Any, bank: InProcessGateway) -> None:
    settings.PAYMENT_ACTION_SECONDS = 100
    late = timezone.now() + timedelta(seconds=6000)
    act_by = waiting_for_the_buyer(bank, until=late).act_by
    assert act_by is not None
    assert abs(act_by - timezone.now() - timedelta(seconds=100)) < timedelta(seconds=20)


def test_a_buyer_who_does_nothing_is_not_waited_for(bank: InProcessGateway) -> None:
    charge = waiting_for_the_buyer(bank)
    make_due()
    run(GatewayWorker())
    charge.refresh_from_db()
    assert charge.state == "action_required", "the time is not over"
    Charge.objects.update(act_by=timezone.now() - timedelta(seconds=60))
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert (charge.state, charge.failure_reason) == ("cancelled", "not confirmed in time")
    assert said() == ["payment.action_required", "payment.failed"]
    assert bank.bank.find(key=str(charge.pk)).standing is PaymentStatus.VOIDED  # type: ignore[union-attr]


def test_a_buyer_who_confirmed_in_the_last_moment_has_paid(bank: InProcessGateway) -> None:
    """There is one last look after the deadline."""
    charge = waiting_for_the_buyer(bank)
    bank.bank.confirm(charge.transaction_id)
    Charge.objects.update(act_by=timezone.now() - timedelta(seconds=60))
    run_to_the_end(GatewayWorker())
    assert said() == ["payment.action_required", "payment.confirmed"]


def test_a_look_that_began_before_the_deadline_is_not_the_last_one(bank: InProcessGateway) -> None:
    waiting_for_the_buyer(bank)
    make_due()
    [looking] = settlement.claim_charges(limit=1)
    heard = gateway_calls.carry_out(looking)
    Charge.objects.update(act_by=timezone.now())
    with transaction.atomic():
        settlement.settle(charges=[(looking, heard)])
    assert Charge.objects.get().state == "action_required"


@pytest.mark.parametrize("end", [undo, prevent_charge])
def test_an_order_that_ends_while_its_buyer_is_asked_is_voided(bank: InProcessGateway, end: Any) -> None:
    charge = waiting_for_the_buyer(bank)
    end(charge.order_id)
    run_to_the_end(GatewayWorker())
    charge.refresh_from_db()
    assert charge.state == "cancelled"
    bank.bank.confirm(charge.transaction_id)
    run_to_the_end(GatewayWorker())
    assert (entered(bank)[-1:], said()) == ([("void", PRICE)], ["payment.action_required"])


def test_a_webhook_while_we_are_asking_has_us_ask_again(bank: InProcessGateway) -> None:
    """What we hear may be older than the webhook."""
    charge = waiting_for_the_buyer(bank)
    make_due()
    [looking] = settlement.claim_charges(limit=1)
    heard = gateway_calls.carry_out(looking)
    bank.bank.confirm(charge.transaction_id)
    webhook = catalogue.PaymentNotified(
        order_id=charge.order_id, flow=charge.flow, charge_id=charge.pk, notice_id="evt_1"
    )
    testing.give("payments", webhook)
    with transaction.atomic():
        settlement.settle(charges=[(looking, heard)])
    run(GatewayWorker())
    assert said() == ["payment.action_required", "payment.confirmed"]


def test_a_webhook_leaves_a_first_call_alone(bank: InProcessGateway) -> None:
    [order_id] = ask_for("pm_success")
    [claimed] = settlement.claim_charges(limit=1)
    webhook = catalogue.PaymentNotified(order_id=order_id, flow=claimed.flow, charge_id=claimed.pk, notice_id="evt_1")
    testing.give("payments", webhook)
    assert settlement.claim_charges(limit=1) == []
    assert history()[-1] == ("webhook", "requested")
