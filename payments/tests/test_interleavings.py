"""Whatever happens in whatever sequence: one charge, a real bank, and the sums in the end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devtools.testing.payments.charges import PRICE, ask_for, prevent_charge, undo
from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.payments.worker_runs import make_due, run_to_the_end
from events import catalogue
from kafka_bridge import testing
from payments import gateway_calls, refunds, webhooks
from payments.gateway_worker import GatewayWorker
from payments.gateways import Answer, PaymentStatus, Unknown
from payments.models import Charge, Refund, Review
from payments.sandbox.bank import Bank
from payments.state_machine import claiming, settlement
from payments.state_machine.transitions import GatewayAnswer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money, pytest.mark.slow]

CARDS = ("pm_success", "pm_3ds", "pm_declined", "pm_charges_then_times_out", "pm_times_out_before")
LOST = Unknown("lost")
# Moves of somebody with a call that is under way; the number says with which.
WITH_A_CALL = ("reach the bank", "answer", "answer lost", "call lost", "killed before", "killed after")
MOVES = (
    "claim", "claim", "claim again", "order cancelled", "hold ran out", "part returned", "webhook", "buyer confirms",
    "buyer refuses", "deadline",
)  # fmt: skip
Move = tuple[str, int]
moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(MOVES), st.just(0)),
        st.tuples(st.sampled_from(WITH_A_CALL), st.integers(0, 2)),
    ),
    max_size=25,
)


@dataclass
class Call:
    """A row that was claimed, and what the bank has said to it."""

    row: Charge | Refund
    said: Any = None

    def reach(self) -> Any:
        """The bank hears it, once."""
        if self.said is None:
            self.said = (
                gateway_calls.carry_out(self.row) if isinstance(self.row, Charge) else gateway_calls.give_back(self.row)
            )
        return self.said


@dataclass
class Story:
    """One order's charge, with as many workers as there are calls under way."""

    bank: Bank
    order_id: UUID
    calls: list[Call] = field(default_factory=list)
    is_over: bool = False
    never: bool = False
    returned_minor: int = 0

    @property
    def charge(self) -> Charge:
        return Charge.objects.get()

    def play(self, move: str, number: int) -> None:
        """One move; one that makes no sense now does nothing."""
        if move in WITH_A_CALL:
            if self.calls:
                self._with(self.calls[number % len(self.calls)], move)
            return
        getattr(self, move.replace(" ", "_"))()

    def _with(self, call: Call, move: str) -> None:
        if move == "reach the bank":
            call.reach()
            return
        self.calls.remove(call)
        if move == "answer":
            settle(call.row, call.reach())
        elif move == "answer lost":
            call.reach()
            settle(call.row, LOST)
        elif move == "call lost":
            settle(call.row, LOST)
        elif move == "killed after":
            call.reach()

    def claim(self) -> None:
        self.calls += map(Call, claiming.claim_charges(limit=5))
        self.calls += map(Call, claiming.claim_refunds(limit=5))

    def claim_again(self) -> None:
        """Leases and pauses are over, even of calls that are still under way."""
        make_due()
        self.claim()

    def order_cancelled(self) -> None:
        undo(self.order_id)
        self.is_over = True

    def hold_ran_out(self) -> None:
        self.never |= bool(prevent_charge(self.order_id))

    def part_returned(self) -> None:
        """Of what is captured; an order of which nothing was taken is not reduced."""
        if self.charge.state == Charge.State.SUCCEEDED and not self.is_over:
            self.returned_minor += 700
            number = self.returned_minor // 700
            with transaction.atomic():
                refunds.refund_parts(reduced=[reduced(self.order_id, number)])

    def webhook(self) -> None:
        with transaction.atomic():
            webhooks.look_again(
                notified=[
                    catalogue.PaymentNotified(
                        order_id=self.order_id, flow=catalogue.RESERVE_FIRST, charge_id=self.charge.pk, notice_id="evt"
                    )
                ]
            )

    def buyer_confirms(self) -> None:
        if payment := self.bank.find(key=str(self.charge.pk)):
            self.bank.confirm(payment.transaction_id)

    def buyer_refuses(self) -> None:
        if payment := self.bank.find(key=str(self.charge.pk)):
            self.bank.refuse(payment.transaction_id)

    def deadline(self) -> None:
        Charge.objects.update(act_by=timezone.now() - timedelta(seconds=60))

    def end(self) -> None:
        """All calls that are under way are answered at last; then one worker does what is left."""
        for call in self.calls:
            settle(call.row, call.reach())
        # A buyer who has not been asked before gets no more time either.
        for _ in range(4):
            self.deadline()
            make_due()
            testing.wait_until(lambda: not WORKER.work(), what="an idle worker")
        run_to_the_end(WORKER)


WORKER = GatewayWorker()


def settle(row: Charge | Refund, said: GatewayAnswer | Answer) -> None:
    with transaction.atomic():
        if isinstance(row, Charge):
            assert isinstance(said, GatewayAnswer | Unknown)
            settlement.settle(charges=[(row, said)])
        else:
            assert not isinstance(said, GatewayAnswer)
            settlement.settle(charges=[], refunds=[(row, said)])


def reduced(order_id: UUID, number: int) -> catalogue.OrderReduced:
    return catalogue.OrderReduced(
        order_id=order_id, flow=catalogue.RESERVE_FIRST, lines=(), amount_minor=700, reduction=number,
        currency="USD", reason="damaged",
    )  # fmt: skip


@pytest.fixture
def bank(sandbox_gateway: InProcessGateway) -> Iterator[Bank]:
    yield sandbox_gateway.bank


def forget_everything() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE payments_charge, kafka_bridge_outboxrow CASCADE")


PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(PATIENT, max_examples=40, derandomize=True)
@given(card=st.sampled_from(CARDS), played=moves)
@example("pm_success", [("claim", 0), ("answer", 0), ("claim", 0), ("order cancelled", 0), ("killed after", 0)])
@example("pm_success", [("claim", 0), ("reach the bank", 0), ("hold ran out", 0), ("answer", 0)])
@example("pm_3ds", [("claim", 0), ("answer", 0), ("buyer confirms", 0), ("hold ran out", 0)])
@example("pm_3ds", [("claim", 0), ("answer", 0), ("claim again", 0), ("reach the bank", 0), ("order cancelled", 0)])
@example("pm_success", [*[("claim", 0), ("answer", 0)] * 2, *[("part returned", 0)] * 4, ("order cancelled", 0)])
def test_money_is_taken_once_and_never_without_an_order(bank: Bank, card: str, played: list[Move]) -> None:
    """FAILURES 1, 11, 13, 14: lost answers, killed processes, late ends, in any sequence."""
    assert_taken_once(bank, card, played)


@pytest.mark.prove(long=True)
@settings(PATIENT, max_examples=1000)
@given(card=st.sampled_from(CARDS), played=moves)
def test_money_is_taken_once_in_a_thousand_sequences(bank: Bank, card: str, played: list[Move]) -> None:
    assert_taken_once(bank, card, played)


def assert_taken_once(bank: Bank, card: str, played: list[Move]) -> None:
    """Play this, and hold the bank's books against ours."""
    forget_everything()
    [order_id] = ask_for(card)
    story = Story(bank, order_id)
    for move, number in played:
        story.play(move, number)
    story.end()

    charge = story.charge
    payment = bank.find(key=str(charge.pk))
    entries = [e for e in bank.entries() if payment and e.transaction_id == payment.transaction_id and not e.declined]
    kinds = [entry.kind for entry in entries]
    captured = sum(entry.amount_minor for entry in entries if entry.kind == "capture")
    back = sum(entry.amount_minor for entry in entries if entry.kind == "refund")
    told = [event.TYPE.removeprefix("payment.") for event in testing.stated()]

    # Once, and nothing is left set aside.
    assert kinds.count("capture") <= 1
    assert payment is None or payment.standing not in (PaymentStatus.ACTION, PaymentStatus.AUTHORIZED)
    # What the order keeps is what we keep.
    returned = min(story.returned_minor, PRICE)
    assert captured - back == (0 if story.is_over or not captured else PRICE - returned)
    assert charge.refunded_minor == back == sum(Refund.objects.values_list("amount_minor", flat=True))
    assert captured == (PRICE if charge.state == Charge.State.SUCCEEDED else 0)
    # What was promised is kept.
    if story.never:
        assert captured == 0
    # One end, told once.
    assert charge.state in (Charge.State.SUCCEEDED, Charge.State.FAILED, Charge.State.CANCELLED)
    ends = [word for word in told if word in ("confirmed", "failed")]
    assert ends == (["confirmed"] if captured else ends[:1])
    assert ends or story.is_over or story.never, "an order that nobody has ended hears how it ends"
    assert told.count("refunded") == Refund.objects.count()
    assert told.count("action_required") <= 1
    assert told.count("unknown") <= (2 if card == "pm_3ds" else 1)
    assert not Review.objects.filter(closed_at=None).exists()
