"""Charging: concurrently, outside of transactions, and the same key for ever."""

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from kafka_bridge import catalogue, testing
from payments import gateways, queries, services
from payments.cashier import Cashier
from payments.gateways import Answer, Succeeded, Unknown
from payments.gateways.sandbox import SandboxGateway
from payments.models import Charge, Refund

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ledger(sandbox_gateway: SandboxGateway) -> SandboxGateway:
    """The sandbox gateway with a ledger of the test's own."""
    return sandbox_gateway


def ask_for(*methods: str) -> list[UUID]:
    """Charges for new orders; their ids."""
    ids = [uuid4() for _ in methods]
    with transaction.atomic():
        services.request_charges(
            dues=[
                services.Due(
                    order_id=order_id, flow="reserve_first", amount_minor=1999, currency="USD", payment_method=method,
                    lines=(catalogue.Line(sku="a", quantity=1, unit_price_minor=1999),),
                )
                for order_id, method in zip(ids, methods, strict=True)
            ]
        )  # fmt: skip
    return ids


def cancelled(order_id: UUID) -> catalogue.OrderCancelled:
    return catalogue.OrderCancelled(
        order_id=order_id, flow="reserve_first", reason="test", total_minor=1999, currency="USD", was_confirmed=False
    )


def run(cashier: Cashier) -> None:
    """Until there is nothing to do."""
    testing.wait_until(lambda: not cashier.work(), what="an idle cashier")


def make_due() -> None:
    """As if the lease were over."""
    Charge.objects.filter(state="requested").update(next_attempt_at=Charge.objects.earliest("created_at").created_at)


def test_the_answers_become_facts(ledger: SandboxGateway) -> None:
    good, bad, odd = ask_for("pm_success", "pm_declined", "pm_nobody_knows")
    run(Cashier())
    said = {event.key: event for event in testing.stated()}
    confirmed = said[str(good)]
    assert isinstance(confirmed, catalogue.PaymentConfirmed)
    assert (confirmed.amount_minor, confirmed.currency, confirmed.lines[0].sku) == (1999, "USD", "a")
    for order_id, reason in ((bad, "card declined"), (odd, "unknown card")):
        failed = said[str(order_id)]
        assert isinstance(failed, catalogue.PaymentFailed)
        assert failed.reason == reason
    assert queries.paid_orders([good, bad, odd]) == {good}
    assert [entry.transaction_id for entry in ledger.entries() if not entry.declined] == [confirmed.transaction_id]


def test_calls_run_beside_each_other(settings: Any, ledger: SandboxGateway) -> None:
    """Eight calls that each wait for all others to have begun: one after the other they would never end."""
    settings.PAYMENT_CONCURRENT_CALLS = 8
    settings.PAYMENT_GATEWAY = f"{__name__}.MeetingGateway"
    gateways.current.cache_clear()
    ask_for(*["pm_success"] * 8)
    run(Cashier())
    assert Charge.objects.filter(state="succeeded").count() == 8


class MeetingGateway(SandboxGateway):
    """Answers once eight calls are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.together = threading.Barrier(8)

    def charge(self, *, key: str, amount_minor: int, currency: str, payment_method: str) -> Answer:
        self.together.wait(10)
        return super().charge(key=key, amount_minor=amount_minor, currency=currency, payment_method=payment_method)


def test_a_crash_between_the_call_and_our_note_of_it_charges_once(ledger: SandboxGateway) -> None:
    [order_id] = ask_for("pm_success")
    [charge] = services.claim_charges(limit=1)
    ledger.charge(key=str(charge.pk), amount_minor=1999, currency="USD", payment_method="pm_success")
    assert services.claim_charges(limit=1) == [], "leased to the process that is dead now"
    make_due()
    run(Cashier())
    assert queries.paid_orders([order_id]) == {order_id}
    assert len(ledger.entries()) == 1


def test_an_unknown_outcome_is_asked_again_with_the_same_key(settings: Any, ledger: SandboxGateway) -> None:
    """FAILURES 1, as far as this gateway can lose an answer."""
    settings.PAYMENT_GATEWAY = f"{__name__}.ForgetfulGateway"
    gateways.current.cache_clear()
    ask_for("pm_success")
    cashier = Cashier()
    run(cashier)
    charge = Charge.objects.get()
    assert (charge.state, charge.attempts, charge.last_error) == ("requested", 1, "the answer was lost")
    assert testing.stated() == []
    make_due()
    run(cashier)
    charge.refresh_from_db()
    assert (charge.state, charge.attempts) == ("succeeded", 2)
    assert [entry.key for entry in ledger.entries()] == [str(charge.pk)]


class ForgetfulGateway(SandboxGateway):
    """Charges, and loses the first answer on the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = False

    def charge(self, *, key: str, amount_minor: int, currency: str, payment_method: str) -> Answer:
        answer = super().charge(key=key, amount_minor=amount_minor, currency=currency, payment_method=payment_method)
        if self.lost:
            return answer
        self.lost = True
        return Unknown("the answer was lost")


def test_an_order_cancelled_before_the_call_is_never_charged(ledger: SandboxGateway) -> None:
    early, never = ask_for("pm_success")[0], uuid4()
    with transaction.atomic():
        services.undo(cancelled=[cancelled(early), cancelled(never)])
    with transaction.atomic():
        services.request_charges(
            dues=[
                services.Due(
                    order_id=never, flow="reserve_first", amount_minor=1, currency="USD", payment_method="pm_success",
                    lines=(),
                )
            ]
        )  # fmt: skip
    run(Cashier())
    assert ledger.entries() == []
    assert set(Charge.objects.values_list("order_id", "state")) == {(early, "cancelled"), (never, "cancelled")}


def test_an_order_cancelled_during_the_call_is_refunded_once(ledger: SandboxGateway) -> None:
    [order_id] = ask_for("pm_success")
    [charge] = services.claim_charges(limit=1)
    for _ in range(2):
        with transaction.atomic():
            services.undo(cancelled=[cancelled(order_id)])
    with transaction.atomic():
        services.settle(charges=[(charge, Succeeded("sbx_ch_by_hand"))], refunds=[])
    assert Refund.objects.get().amount_minor == 1999
    assert [event.TYPE for event in testing.stated()] == ["payment.confirmed"]


def test_an_order_cancelled_after_the_charge_is_refunded_once(ledger: SandboxGateway) -> None:
    [order_id] = ask_for("pm_success")
    cashier = Cashier()
    run(cashier)
    for _ in range(3):
        with transaction.atomic():
            services.undo(cancelled=[cancelled(order_id)])
        run(cashier)
    assert [(e.kind, e.amount_minor) for e in ledger.entries()] == [("charge", 1999), ("refund", 1999)]
    assert [event.TYPE for event in testing.stated()] == ["payment.confirmed", "payment.refunded"]


def test_the_gateway_gives_back_no_more_than_it_took(ledger: SandboxGateway) -> None:
    taken = ledger.charge(key="k", amount_minor=500, currency="USD", payment_method="pm_success")
    assert isinstance(taken, Succeeded)
    assert isinstance(ledger.refund(key="r1", transaction_id=taken.transaction_id, amount_minor=300), Succeeded)
    again = ledger.refund(key="r1", transaction_id=taken.transaction_id, amount_minor=300)
    assert ledger.find(key="r1") == again, "the same key is the same refund"
    too_much = ledger.refund(key="r2", transaction_id=taken.transaction_id, amount_minor=300)
    assert too_much == gateways.Declined("only 200 of this charge are left")
