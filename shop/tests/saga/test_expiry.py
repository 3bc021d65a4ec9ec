"""A hold that runs out and a payment that comes in: one of them wins, and PostgreSQL says which."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.payments.worker_runs import make_due
from devtools.testing.shop.orders import SKU, draft
from events import catalogue
from inventory import stock_adjustments
from inventory.models import Movement, Reservation, Stock
from inventory.reservations import expiry
from kafka_bridge import testing
from kafka_bridge.publishing import outbox
from orders.actions import cancellation
from orders.models import Order, Status
from orders.placing import placement
from payments import gateway_calls
from payments.models import Charge, Refund
from payments.state_machine import claiming, settlement

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.money]


@pytest.fixture(autouse=True)
def one_copy(slow_carrier: None) -> None:
    """Of one book."""
    with transaction.atomic():
        stock_adjustments.receive(quantities={SKU: 1}, reason="test")


def counts() -> tuple[int, int, int]:
    """Received, held, sold."""
    row = Stock.objects.get(pk=SKU)
    return row.received, row.held, row.sold


def held_order(settings: Any, *, seconds: int = -1, **changes: Any) -> tuple[UUID, testing.MemoryBroker]:
    """An order whose stock is held for so long, while payments has not heard of it yet."""
    settings.HOLD_SECONDS = seconds
    placed = placement.place(draft(**changes))
    broker = testing.MemoryBroker(groups={"orders", "inventory"})
    broker.drain()
    return placed.order_id, broker


def expire() -> int:
    with transaction.atomic(durable=True), outbox.collect():
        return expiry.expire_holds()


def take_step() -> None:
    """A worker takes the one charge that is due, asks the gateway, and writes its answer."""
    [charge] = claiming.claim_charges(limit=10)
    with transaction.atomic(durable=True), outbox.collect():
        settlement.settle(charges=[(charge, gateway_calls.carry_out(charge))])


def entered(gateway: InProcessGateway) -> list[str]:
    """What the bank has carried out, oldest first."""
    return [entry.kind for entry in gateway.bank.entries() if not entry.declined]


def drain_the_rest(broker: testing.MemoryBroker) -> testing.MemoryBroker:
    """Deliver everything to the other groups, too."""
    rest = testing.MemoryBroker(logs=broker.logs, positions=broker.positions)
    rest.drain()
    return rest


def test_an_unpaid_hold_is_given_up_and_the_order_ends_without_ever_being_charged(
    settings: Any, sandbox_gateway: InProcessGateway
) -> None:
    order_id, broker = held_order(settings)
    assert counts() == (1, 1, 0)
    assert expire() == 1
    assert expire() == 0
    drain_the_rest(broker)
    order = Order.objects.get(pk=order_id)
    assert (order.status, order.cancel_reason, order.is_final) == (Status.CANCELLED, "not paid in time", True)
    assert counts() == (1, 0, 0)
    assert Reservation.objects.get(pk=order_id).state == "expired"
    assert [m.kind for m in Movement.objects.filter(order_id=order_id).order_by("id")] == ["held", "expired"]
    assert Charge.objects.get(order_id=order_id).state == Charge.State.CANCELLED
    assert entered(sandbox_gateway) == []


def test_a_hold_whose_time_is_not_over_stays(settings: Any) -> None:
    order_id, broker = held_order(settings, seconds=60)
    assert expire() == 0
    drain_the_rest(broker)
    assert Order.objects.get(pk=order_id).is_confirmed
    assert counts() == (1, 0, 1)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_machine_whose_clock_is_wrong_ends_nothing_early_or_late(
    settings: Any, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Deadlines are written and looked at by the database's clock alone."""
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(days=days))
    order_id, _ = held_order(settings, seconds=60)
    monkeypatch.setattr(timezone, "now", lambda: right() - timedelta(days=days))

    def end() -> tuple[int, int]:
        with transaction.atomic(durable=True), outbox.collect():
            return expiry.expire_holds(), cancellation.cancel_overdue()

    assert end() == (0, 0)
    Reservation.objects.filter(pk=order_id).update(expires_at=Now() - timedelta(seconds=1))
    Order.objects.filter(pk=order_id).update(deadline_at=Now() - timedelta(seconds=1))
    assert end() == (1, 1)


def test_what_expired_is_offered_again(settings: Any) -> None:
    first, broker = held_order(settings)
    assert expire() == 1
    settings.HOLD_SECONDS = 60
    second = placement.place(draft()).order_id
    drain_the_rest(broker)
    statuses = dict(Order.objects.values_list("pk", "cancel_reason"))
    assert statuses == {first: "not paid in time", second: ""}
    assert counts() == (1, 0, 1)


def test_money_that_is_being_captured_keeps_its_hold(settings: Any) -> None:
    """The gateway was asked to take it, and has not answered yet: nobody takes the book away meanwhile."""
    order_id, _ = held_order(settings)
    testing.give("payments", *testing.stated(catalogue.InventoryReserved))
    take_step()
    # A worker took the charge once more: its capture may be on the way.
    assert [(c.order_id, c.state) for c in claiming.claim_charges(limit=10)] == [(order_id, "capturing")]
    assert expire() == 0
    reservation = Reservation.objects.get(pk=order_id)
    assert reservation.state == "held"
    assert reservation.expires_at is not None
    assert reservation.expires_at > timezone.now(), "it is looked at again later"
    assert counts() == (1, 1, 0)


@pytest.mark.parametrize("is_answered", [False, True])
def test_money_that_is_only_set_aside_loses_against_the_end_of_the_hold(
    settings: Any, sandbox_gateway: InProcessGateway, is_answered: bool
) -> None:
    """The authorization is voided, and the book is sold to another buyer."""
    order_id, broker = held_order(settings)
    testing.give("payments", *testing.stated(catalogue.InventoryReserved))
    if is_answered:
        take_step()
    else:
        [charge] = claiming.claim_charges(limit=10)
        gateway_calls.carry_out(charge)  # and the worker is killed before it can store the answer
    assert expire() == 1
    make_due()
    drain_the_rest(broker)
    order = Order.objects.get(pk=order_id)
    assert (order.status, order.cancel_reason, order.is_final) == (Status.CANCELLED, "not paid in time", True)
    assert counts() == (1, 0, 0)
    assert Charge.objects.get(order_id=order_id).state == Charge.State.CANCELLED
    assert entered(sandbox_gateway) == ["authorization", "void"]
    assert not Refund.objects.exists()


def test_a_payment_that_was_made_wins(settings: Any) -> None:
    order_id, broker = held_order(settings)
    paying = testing.MemoryBroker(groups={"payments"}, logs=broker.logs, positions=broker.positions)
    paying.drain()
    assert Charge.objects.get(order_id=order_id).state == Charge.State.SUCCEEDED
    assert expire() == 0
    drain_the_rest(paying)
    assert Order.objects.get(pk=order_id).is_confirmed
    assert counts() == (1, 0, 1)
    assert not Refund.objects.exists()


def test_payments_that_hears_of_the_hold_after_it_was_given_up_does_not_charge(
    settings: Any, sandbox_gateway: InProcessGateway
) -> None:
    order_id, broker = held_order(settings)
    assert expire() == 1
    paying = testing.MemoryBroker(groups={"payments"}, logs=broker.logs, positions=broker.positions)
    paying.drain()
    assert Charge.objects.get(order_id=order_id).state == Charge.State.CANCELLED
    assert entered(sandbox_gateway) == []


@pytest.mark.parametrize(
    "round_", [*range(5), *(pytest.param(number, marks=pytest.mark.prove) for number in range(5, 20))]
)
def test_one_winner_when_both_come_at_the_same_moment(
    settings: Any, sandbox_gateway: InProcessGateway, round_: int
) -> None:
    """FAILURES 14: the gateway worker begins to capture the money while the timekeeper gives up the hold."""
    order_id, broker = held_order(settings)
    testing.give("payments", *testing.stated(catalogue.InventoryReserved))
    take_step()
    ready = threading.Barrier(2)

    def in_thread(work: Any) -> int:
        try:
            ready.wait()
            return int(work())
        finally:
            connection.close()

    def take() -> int:
        return sum(charge.state == "capturing" for charge in claiming.claim_charges(limit=10))

    with ThreadPoolExecutor(2) as pool:
        taken, expired = pool.submit(in_thread, take), pool.submit(in_thread, expire)
        assert (taken.result(), expired.result()) in ((1, 0), (0, 1))
    make_due()
    drain_the_rest(broker)
    order, charge = Order.objects.get(pk=order_id), Charge.objects.get(order_id=order_id)
    if taken.result():
        assert (order.is_confirmed, charge.state, counts()) == (True, Charge.State.SUCCEEDED, (1, 0, 1))
        assert entered(sandbox_gateway) == ["authorization", "capture"]
    else:
        assert (order.status, charge.state, counts()) == (Status.CANCELLED, Charge.State.CANCELLED, (1, 0, 0))
        assert entered(sandbox_gateway) == ["authorization", "void"]
    assert not Refund.objects.exists()


def test_a_cancellation_and_an_expiry_give_the_units_back_once(settings: Any) -> None:
    order_id, broker = held_order(settings)
    order = Order.objects.get(pk=order_id)
    cancelled = catalogue.OrderCancelled(
        order_id=order_id, flow=order.flow, reason="test", total_minor=1, currency="USD", was_confirmed=False
    )

    def in_thread(work: Any) -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(in_thread, [expire, lambda: testing.give("inventory", cancelled)]))
    assert counts() == (1, 0, 0)
    drain_the_rest(broker)
    assert counts() == (1, 0, 0)


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.prove) for seed in range(3, 9))])
def test_an_order_cancelled_while_it_is_being_reserved(settings: Any, seed: int, duplicates: bool) -> None:
    """Ten orders for one copy, each cancelled in another moment, every message perhaps twice: the sums hold."""
    settings.HOLD_SECONDS = 600
    placed = [placement.place(draft(flow=catalogue.FLOWS[n % 2])).order_id for n in range(10)]
    broker = testing.MemoryBroker(seed=seed, duplicates=duplicates)
    for number, order_id in enumerate(placed):
        broker.advance(number % 4)
        if number % 2:
            with transaction.atomic(), contextlib.suppress(cancellation.CannotCancel):
                cancellation.cancel(order_id=order_id, reason="changed my mind", by="test")
    broker.drain()
    received, held, sold = counts()
    assert (received, held) == (1, 0)
    kept = Order.objects.exclude(status=Status.CANCELLED)
    assert sold == kept.count() == Reservation.objects.filter(state="sold").count() <= 1
    assert all(order.is_confirmed for order in kept)
