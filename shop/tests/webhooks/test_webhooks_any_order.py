"""Whichever webhooks come, in which order, how often, forged or not: the money ends where it would anyway.

The whole way is real: the view, the outbox, the handler, the gateway worker, the sandbox's bank.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devtools.testing.payments.sandbox_bank import InProcessGateway
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.models import OutboxRow
from payments import charges
from payments.gateways import PaymentStatus, sandbox, signatures
from payments.models import Charge, GatewayNotice, Refund, Review
from payments.sandbox.bank import Bank

SECRET = "whsec_of_the_bank"
KINDS = ("authorized", "captured", "voided", "declined", "refunded")
EVENTS = 3
"""So many different events of each kind there are of a payment: most are sent more than once."""


@dataclass(frozen=True)
class Story:
    """How a payment goes."""

    card: str
    is_confirmed: bool = True


STORIES = (
    Story("pm_success"),
    Story("pm_declined"),
    Story("pm_3ds"),
    Story("pm_3ds", is_confirmed=False),
    Story("pm_charges_then_times_out"),
    Story("pm_times_out_before"),
    Story("pm_hooks_shuffled"),
)
Webhook = tuple[str, int, str, int]
webhook_steps = st.tuples(
    st.sampled_from(("genuine", "genuine", "genuine", "forged", "stale", "written again", "foreign")),
    st.integers(0, 2),
    st.sampled_from(KINDS),
    st.integers(0, EVENTS - 1),
)
steps = st.lists(st.one_of(webhook_steps, st.sampled_from(("work", "answer", "time"))), max_size=25)


@dataclass
class Play:
    """Some payments, and the bank that tells of them."""

    bank: Bank
    stories: tuple[Story, ...]
    client: Client = field(default_factory=Client)
    broker: testing.MemoryBroker = field(default_factory=lambda: testing.MemoryBroker(groups=["payments"]))
    order_ids: list[UUID] = field(default_factory=list)
    name: str = field(default_factory=lambda: uuid4().hex)
    genuine: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Ask for the money."""
        self.order_ids = [uuid4() for _ in self.stories]
        with transaction.atomic():
            charges.request_charges(
                requests=[
                    charges.ChargeRequest(
                        order_id=order_id, flow="reserve_first", amount_minor=1999, currency="USD",
                        payment_method=story.card, lines=(),
                    )
                    for order_id, story in zip(self.order_ids, self.stories, strict=True)
                ]
            )  # fmt: skip

    def take(self, step: Any) -> None:
        """One thing happens."""
        match step:
            case "work":
                self.broker.advance(1)
            case "answer":
                self.buyers_answer()
            case "time":
                self.time_passes()
            case manner, number, kind, event:
                self.webhook(manner, number % len(self.stories), kind, event)

    def webhook(self, manner: str, number: int, kind: str, event: int) -> None:
        """A webhook comes; what it tells may be true or not."""
        charge = Charge.objects.get(order_id=self.order_ids[number])
        payment = self.bank.find(key=str(charge.pk))
        data = {"key": str(charge.pk), "transaction_id": payment.transaction_id if payment else ""}
        event_id = f"evt_{self.name}_{number}_{kind}_{event}"
        if manner == "foreign":
            event_id, data = f"{event_id}_f", {"key": str(uuid4()), "transaction_id": f"sbx_{self.name}"}
        told = {"id": event_id, "type": f"payment.{kind}", "created": int(time.time()), "data": data}
        body = json.dumps(told).encode()
        at = int(time.time()) - (400 if manner == "stale" else 0)
        header = signatures.sign(body, secret="guessed" if manner == "forged" else SECRET, at=at)
        if manner == "written again":
            body = json.dumps(told, separators=(",", ":")).encode()
        response = self.client.post(
            "/webhooks/payments/", body, content_type="application/json", headers={sandbox.SIGNATURE_HEADER: header}
        )
        believed = manner in ("genuine", "foreign")
        assert response.status_code == (200 if believed else 400)
        if believed:
            (self.foreign if manner == "foreign" else self.genuine).add(event_id)

    def buyers_answer(self) -> None:
        """Those whom the bank asks."""
        for charge, story in zip(self.charges(), self.stories, strict=True):
            payment = self.bank.find(key=str(charge.pk))
            if payment is not None and payment.standing == PaymentStatus.ACTION:
                (self.bank.confirm if story.is_confirmed else self.bank.refuse)(payment.transaction_id)

    def time_passes(self) -> None:
        """Whatever waits for its time is due."""
        Charge.objects.filter(order_id__in=self.order_ids, state__in=Charge.OPEN).update(
            next_attempt_at=timezone.now() - timedelta(seconds=1)
        )

    def finish(self) -> None:
        """All come to their ends."""
        for _ in range(30):
            self.broker.drain()
            if not Charge.objects.filter(order_id__in=self.order_ids, state__in=Charge.OPEN).exists():
                return
            self.buyers_answer()
            self.time_passes()
        raise AssertionError(f"no end: {[(charge.state, charge.last_error) for charge in self.charges()]}")

    def charges(self) -> list[Charge]:
        """As they are, in the sequence of the stories."""
        found = {charge.order_id: charge for charge in Charge.objects.filter(order_id__in=self.order_ids)}
        return [found[order_id] for order_id in self.order_ids]

    def ends(self) -> list[tuple[object, ...]]:
        """Of each payment, all that must not depend on webhooks: our row, the facts, the bank's ledger."""
        return [
            (
                charge.state, charge.failure_reason, charge.refunded_minor, bool(charge.transaction_id),
                self._facts_of(charge), self._ledger_of(charge),
            )
            for charge in self.charges()
        ]  # fmt: skip

    def _facts_of(self, charge: Charge) -> list[str]:
        """What was stated about it, but for the webhooks."""
        facts = [event.TYPE for event in testing.stated() if event.key == str(charge.order_id)]
        return sorted(fact for fact in facts if fact != catalogue.PaymentNotified.TYPE)

    def _ledger_of(self, charge: Charge) -> list[tuple[str, int, str]]:
        """The bank's lines about it."""
        return [
            (entry.kind, entry.amount_minor, entry.declined)
            for entry in self.bank.entries()
            if entry.transaction_id == charge.transaction_id
        ]


@pytest.fixture
def bank(settings: Any, request: pytest.FixtureRequest) -> Bank:
    """The bank, whose webhooks are believed."""
    settings.PAYMENT_WEBHOOK_SECRETS = [SECRET]
    gateway: InProcessGateway = request.getfixturevalue("sandbox_gateway")
    return gateway.bank


def at_rest() -> None:
    """Nothing is left of an example that failed in its middle."""
    OutboxRow.objects.filter(published_at=None).delete()
    Charge.objects.filter(state__in=Charge.OPEN).update(state=Charge.State.CANCELLED)


PATIENT = settings(
    deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@pytest.mark.money
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@settings(PATIENT, max_examples=25)
@given(stories=st.lists(st.sampled_from(STORIES), min_size=1, max_size=3).map(tuple), steps=steps)
@example(
    stories=(Story("pm_3ds"), Story("pm_3ds", is_confirmed=False)),
    steps=[("genuine", 0, "captured", 0), "work", ("genuine", 0, "voided", 1), ("genuine", 1, "captured", 0), "answer"],
)
def test_webhooks_change_nothing(bank: Bank, stories: tuple[Story, ...], steps: list[Any]) -> None:
    assert_nothing_changes(bank, stories, steps)


@pytest.mark.prove(long=True)
@pytest.mark.money
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@settings(PATIENT, max_examples=500)
@given(stories=st.lists(st.sampled_from(STORIES), min_size=1, max_size=3).map(tuple), steps=steps)
def test_five_hundred_times_webhooks_change_nothing(bank: Bank, stories: tuple[Story, ...], steps: list[Any]) -> None:
    assert_nothing_changes(bank, stories, steps)


def assert_nothing_changes(bank: Bank, stories: tuple[Story, ...], steps: list[Any]) -> None:
    """Each story ends as it would have without them."""
    at_rest()
    play = Play(bank, stories)
    play.begin()
    for step in steps:
        play.take(step)
    play.finish()

    assert play.ends() == [undisturbed(bank, story) for story in stories]
    assert set(GatewayNotice.objects.filter(event_id__contains=play.name).values_list("event_id", flat=True)) == (
        play.genuine | play.foreign
    )
    told = [
        event
        for event in testing.stated(catalogue.PaymentNotified)
        if isinstance(event, catalogue.PaymentNotified) and play.name in event.notice_id
    ]
    assert len(told) == len(play.genuine), "each once"
    assert Review.objects.filter(subject=f"sbx_{play.name}").count() == bool(play.foreign)
    assert not Review.objects.filter(order_id__in=play.order_ids).exists()
    assert not Refund.objects.exists()


@cache
def undisturbed(bank: Bank, story: Story) -> tuple[object, ...]:
    """How it ends without a single webhook."""
    play = Play(bank, (story,))
    play.begin()
    play.finish()
    [end] = play.ends()
    return end
