"""Whole stories of payments, in both flows and every way of delivering: each card, the buyer at the bank, cancellations
at every moment, money that comes too late. At the end the bank has kept what kept orders came to, and nothing more.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core import mail
from django.db import connection, transaction
from django.utils import timezone

from devtools.testing.payments.worker_runs import make_due
from devtools.testing.shop import stories
from devtools.testing.shop.orders import SKU, draft
from events import catalogue
from kafka_bridge import testing
from orders import queries
from orders.actions import cancellation, parcels, returns
from orders.models import Order, PaymentWait, Status
from orders.placing import placement
from payments import gateways
from payments.gateway_worker import GatewayWorker
from payments.gateways import PaymentStatus
from payments.models import Charge, Refund, Review
from payments.sandbox.cards import TEST_CARDS, TestCard, Trouble
from shop.orderpages import after_sales

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money, pytest.mark.usefixtures("slow_carrier")]
State = Charge.State
ROUNDS = [*range(5), *(pytest.param(number, marks=pytest.mark.prove) for number in range(5, 15))]


@pytest.fixture(params=stories.deliveries(seeds=3))
def broker(request: pytest.FixtureRequest) -> testing.MemoryBroker:
    """Every story below is told once for each way of delivering."""
    return testing.MemoryBroker(**request.param)


@pytest.fixture(params=catalogue.FLOWS)
def flow(request: pytest.FixtureRequest) -> str:
    """Both flows."""
    return str(request.param)


def place(flow: str, card: str = "pm_success", **units: int) -> UUID:
    """One copy of a book of which there are five, 12.50 USD."""
    stories.stock(**{f"s{SKU}": 5, f"s{stories.OTHER}": 5})
    return placement.place(draft(flow=flow, payment_method=card, units=units or {SKU: 1})).order_id


def at_the_bank(act: str) -> Callable[[], None]:
    """A buyer who confirms (or refuses) whatever the bank asks."""

    def answer() -> None:
        for payment in stories.the_bank().statement():
            getattr(stories.the_bank(), act)(payment.transaction_id)

    return answer


def wait_over() -> None:
    """The buyer lets the time go by."""
    Charge.objects.filter(state=State.ACTION_REQUIRED).update(act_by=timezone.now() - timedelta(hours=1))


def cancel(order_id: UUID) -> bool:
    """The buyer cancels; whether it was not too late."""
    try:
        after_sales.cancel(order_id=order_id, user=AnonymousUser())
    except cancellation.CannotCancel:
        return False
    return True


def end_of(order_id: UUID) -> tuple[str, str]:
    """Where the order ended, and why."""
    order = Order.objects.get(pk=order_id)
    return order.status, order.cancel_reason


def trail(order_id: UUID, *whats: str) -> list[tuple[str, str]]:
    """What the order answered to these, each once."""
    entries = Order.objects.get(pk=order_id).trail.filter(what__in=whats).order_by("id")
    return list(entries.values_list("what", "answer"))


def steps(order_id: UUID) -> dict[str, str]:
    """The timeline: how far each step is."""
    shown = queries.snapshot(order_id)
    assert shown is not None
    return {step.code: step.state for step in shown.steps}


def subjects() -> list[str]:
    """The mails that were sent, by what they are about."""
    return sorted(message.subject.partition(":")[0] for message in mail.outbox)


# -- Every card ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("card", TEST_CARDS, ids=lambda card: card.token)
def test_every_card_comes_to_its_end(broker: testing.MemoryBroker, flow: str, card: TestCard) -> None:
    """Answers that are lost are asked for again, with the same key."""
    order_id = place(flow, card.token)
    stories.to_the_end(broker, buyer=at_the_bank("confirm"))
    if card.declines_with:
        assert end_of(order_id) == (Status.CANCELLED, f"payment failed: {card.declines_with}")
        assert stories.counts(SKU) == (5, 0, 0)
    else:
        assert end_of(order_id) == (Status.PAID, "")
        assert Order.objects.get().is_confirmed
        assert stories.counts(SKU) == (5, 0, 1)
    unknown = trail(order_id, "payment.unknown")
    assert len(unknown) == int(card.trouble in (Trouble.ANSWER_LOST, Trouble.CALL_LOST)), "told once, and only then"
    assert not Refund.objects.exists()
    assert stories.books_balance()


# -- The buyer at the bank ----------------------------------------------------------------------------
def test_the_bank_asks_and_the_order_waits_for_the_buyer(broker: testing.MemoryBroker, flow: str) -> None:
    order_id = place(flow, "pm_3ds")
    broker.drain()
    order = Order.objects.get()
    assert (order.status, order.payment_wait) == (Status.PENDING, PaymentWait.ACTION)
    [payment] = stories.the_bank().statement()
    assert order.payment_url.endswith(payment.transaction_id)
    assert payment.return_url.endswith(f"/orders/{order_id}/")
    assert order.payment_until is not None
    assert steps(order_id)["paid"] == "current"
    stories.to_the_end(broker, buyer=at_the_bank("confirm"))
    assert end_of(order_id) == (Status.PAID, "")
    order.refresh_from_db()
    assert (order.payment_wait, order.payment_url) == ("", "")
    assert subjects() == ["Order confirmed", "Please confirm your payment"]
    assert stories.books_balance()


@pytest.mark.parametrize(
    ("buyer", "reason"),
    [(at_the_bank("refuse"), "not confirmed by the cardholder"), (wait_over, "not confirmed in time")],
    ids=["refused", "too late"],
)
def test_what_is_not_confirmed_is_not_charged(
    broker: testing.MemoryBroker, flow: str, buyer: Callable[[], None], reason: str
) -> None:
    order_id = place(flow, "pm_3ds")
    stories.to_the_end(broker, buyer=buyer)
    at_the_bank("confirm")()  # after all; the bank has let it go
    stories.to_the_end(broker)
    assert end_of(order_id) == (Status.CANCELLED, f"payment failed: {reason}")
    assert stories.counts(SKU) == (5, 0, 0)
    assert "You have not been charged." in mail.outbox[-1].body
    assert [payment.captured_minor for payment in stories.the_bank().statement()] == [0]
    assert stories.books_balance()


def test_a_confirmation_in_the_last_moment_counts(broker: testing.MemoryBroker, flow: str) -> None:
    """The time is over, but the last look finds that the buyer has confirmed."""
    order_id = place(flow, "pm_3ds")
    broker.drain()
    wait_over()
    stories.to_the_end(broker, buyer=at_the_bank("confirm"))
    assert end_of(order_id) == (Status.PAID, "")
    assert stories.books_balance()


# -- Nobody knows --------------------------------------------------------------------------------------
@pytest.mark.parametrize("fate", ["the answer came", "declined after all"])
def test_an_unknown_outcome_is_told_and_then_known(broker: testing.MemoryBroker, flow: str, fate: str) -> None:
    card = "pm_success" if fate == "the answer came" else "pm_declined"
    order_id = place(flow, card)
    outage(seconds=3600)
    broker.drain()
    order = Order.objects.get()
    assert (order.status, order.payment_wait) == (Status.PENDING, PaymentWait.UNKNOWN)
    shown = queries.snapshot(order_id)
    assert shown is not None
    assert "You will not be charged twice" in shown.detail
    for _ in range(3):
        make_due()
        broker.drain()
    assert trail(order_id, "payment.unknown") == [("payment.unknown", "move")], "told once, however often it is asked"
    outage(seconds=0)
    stories.to_the_end(broker)
    expected = (Status.PAID, "") if card == "pm_success" else (Status.CANCELLED, "payment failed: card declined")
    assert end_of(order_id) == expected
    assert stories.books_balance()


# -- Cancellations -------------------------------------------------------------------------------------
@pytest.mark.parametrize("moment", [0, 1, 2, 4, 7, 11])
@pytest.mark.parametrize("card", ["pm_3ds", "pm_charges_then_times_out", "pm_times_out_before"])
def test_a_buyer_cancels_at_any_moment(broker: testing.MemoryBroker, flow: str, card: str, moment: int) -> None:
    """Whatever was set aside is let go, whatever was taken is given back, once; and the buyer confirms all the same."""
    order_id = place(flow, card)
    for _ in range(moment):
        broker.advance(1)
        make_due()
    assert cancel(order_id)
    stories.to_the_end(broker, buyer=at_the_bank("confirm"))
    assert end_of(order_id) == (Status.CANCELLED, "cancelled by the buyer")
    assert stories.counts(SKU) == (5, 0, 0)
    assert [payment.captured_minor for payment in stories.the_bank().statement()] == [
        payment.refunded_minor for payment in stories.the_bank().statement()
    ]
    assert Refund.objects.count() == Charge.objects.filter(state=State.SUCCEEDED).count()
    assert not Review.objects.exists()
    assert stories.books_balance()


def test_money_that_comes_after_the_end_goes_back_once(broker: testing.MemoryBroker, flow: str) -> None:
    """The capture was on its way when the buyer cancelled; told on the timeline and in a mail."""
    order_id = place(flow, "pm_charges_then_times_out")
    capture_under_way(broker)
    assert cancel(order_id)
    broker.drain()
    order = Order.objects.get()
    assert (order.status, order.payment_reference) == (Status.CANCELLED, "")
    stories.to_the_end(broker)
    order.refresh_from_db()
    assert ("payment.confirmed", "compensate") in trail(order_id, "payment.confirmed")
    assert order.refunded_at is not None
    assert order.is_final
    assert [(r.state, r.amount_minor) for r in Refund.objects.all()] == [("succeeded", 1250)]
    assert [e.amount_minor for e in stories.the_bank().entries() if e.kind == "refund"] == [1250]
    assert (steps(order_id)["cancelled"], steps(order_id)["refunded"]) == ("failed", "done")
    assert subjects() == ["Money refunded", "Order cancelled"]
    refunded = next(message.body for message in mail.outbox if message.subject.startswith("Money"))
    assert "it reached us after the order was cancelled" in refunded
    assert stories.counts(SKU) == (5, 0, 0)
    assert stories.books_balance()


def test_a_refusal_after_the_payment_changes_nothing(broker: testing.MemoryBroker, flow: str) -> None:
    """Payment.failed after payment.confirmed is noted, and that is all."""
    order_id = place(flow)
    stories.to_the_end(broker)
    [charge] = Charge.objects.all()
    before = Order.objects.values("status", "cancel_reason", "payment_reference", "confirmed_at").get()
    late = catalogue.PaymentFailed(order_id=order_id, flow=flow, charge_id=charge.pk, reason="card declined")
    testing.give("orders", late, topic_offset=1000)
    stories.to_the_end(broker)
    assert Order.objects.values("status", "cancel_reason", "payment_reference", "confirmed_at").get() == before
    assert trail(order_id, "payment.failed") == [("payment.failed", "already done")]
    assert stories.counts(SKU) == (5, 0, 1)
    assert stories.books_balance()


# -- Returns -------------------------------------------------------------------------------------------
def test_copies_come_back_and_exactly_their_money_does(broker: testing.MemoryBroker, flow: str) -> None:
    stories.stock(**{f"s{SKU}": 5, f"s{stories.OTHER}": 5})
    order_id = placement.place(draft(flow=flow, units={SKU: 2, stories.OTHER: 1})).order_id
    stories.to_the_end(broker)
    with transaction.atomic():
        assert parcels.ship(order_ids=[order_id], by="carrier")
    wish = after_sales.ask_return(order_id=order_id, units={SKU: 1}, reason="pages are missing", user=AnonymousUser())
    with transaction.atomic():
        returns.accept_return(order_id=order_id, units={SKU: 1}, reason="damaged", by="grace", request_id=wish.pk)
    stories.to_the_end(broker)
    assert sum(p.refunded_minor for p in stories.the_bank().statement()) == 1250
    with transaction.atomic():
        parcels.deliver(order_ids=[order_id], by="carrier")
        returns.accept_return(order_id=order_id, units={SKU: 1, stories.OTHER: 1}, reason="all of it", by="grace")
    stories.to_the_end(broker)
    assert end_of(order_id) == (Status.DELIVERED, "")
    [payment] = stories.the_bank().statement()
    assert (payment.captured_minor, payment.refunded_minor) == (3750, 3750)
    assert set(trail(order_id, "payment.refunded")) == {("payment.refunded", "already done")}
    shown = queries.snapshot(order_id)
    assert shown is not None
    assert [(step.code, step.state) for step in shown.steps][-4:] == [
        ("returned", "done"), ("part_refunded", "done"), ("returned", "done"), ("part_refunded", "done"),
    ]  # fmt: skip
    assert (shown.paid_back_minor, shown.final) == (3750, True)
    assert subjects().count("Return accepted") == subjects().count("Money refunded") == 2
    assert stories.books_balance()


# -- Who wins ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("round_", ROUNDS)
def test_a_cancellation_and_the_carrier_have_one_winner(flow: str, round_: int) -> None:
    """Either it is shipped and the buyer hears that it is too late, or it is cancelled and paid back."""
    broker = testing.MemoryBroker()
    order_id = place(flow)
    stories.to_the_end(broker)

    def ship() -> int:
        with transaction.atomic():
            return len(parcels.ship(order_ids=[order_id], by="carrier"))

    cancelled, shipped = at_once(lambda: cancel(order_id), ship)
    assert bool(cancelled) is not bool(shipped)
    stories.to_the_end(broker)
    assert end_of(order_id)[0] == (Status.SHIPPED if shipped else Status.CANCELLED)
    [payment] = stories.the_bank().statement()
    assert (payment.captured_minor, payment.refunded_minor) == (1250, 0 if shipped else 1250)
    assert stories.counts(SKU) == (5, 0, 1 if shipped else 0)
    assert stories.books_balance()


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_cancellation_and_the_capture_have_one_winner(flow: str, round_: int) -> None:
    """Either nothing is ever taken, or all that was taken goes back, once."""
    broker = testing.MemoryBroker(groups={"orders", "inventory"})
    order_id = place(flow)
    broker.drain()
    testing.give("payments", *testing.stated(catalogue.OrderCreated, catalogue.InventoryReserved))
    worker = GatewayWorker()

    def pay() -> None:
        testing.wait_until(lambda: not worker.work(), what="an idle worker")

    def give_up() -> None:
        cancel(order_id)
        testing.give("payments", *testing.stated(catalogue.OrderCancelled), topic_offset=500)

    at_once(pay, give_up)
    stories.to_the_end(testing.MemoryBroker(logs=broker.logs, positions=broker.positions))
    assert end_of(order_id)[0] == Status.CANCELLED
    payments = stories.the_bank().statement()
    assert [p.captured_minor for p in payments] == [p.refunded_minor for p in payments]
    assert Refund.objects.count() == sum(p.captured_minor > 0 for p in payments)
    assert stories.counts(SKU) == (5, 0, 0)
    assert stories.books_balance()


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Each in a thread of its own, begun together; what they returned."""
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        try:
            ready.wait(10)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return [each.result() for each in [pool.submit(run, work) for work in works]]


def outage(*, seconds: float) -> None:
    """From now on the bank answers nobody for so long."""
    gateways.current().gateway.server.outage.begin(seconds, "refuse")  # type: ignore[attr-defined]


def capture_under_way(broker: testing.MemoryBroker) -> None:
    """Until the bank has captured it and nobody here knows."""

    def is_captured_there() -> bool:
        broker.advance(1)
        charge = Charge.objects.first()
        if charge is None or charge.state != State.CAPTURING:
            make_due()
            return False
        return charge.unknown_since is not None  # until then its one call is under way; a second one would tell

    testing.wait_until(is_captured_there, what="a capture whose answer is lost")
    # The bank is asked once more when the test makes that due, and not while a slow machine is busy with what is next.
    Charge.objects.update(next_attempt_at=timezone.now() + timedelta(hours=1))
    assert [p.standing for p in stories.the_bank().statement()] == [PaymentStatus.CAPTURED]
