"""Several workers, cancellations and holds that run out, all at the same time, in threads of their own."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from devtools.testing.payments.charges import PRICE, ask_for, prevent_charge, undo
from devtools.testing.payments.sandbox_bank import InProcessGateway
from devtools.testing.payments.worker_runs import make_due, run_to_the_end
from kafka_bridge import testing
from kafka_bridge.runtime import error_classes
from payments.gateway_worker import GatewayWorker
from payments.models import Charge
from payments.sandbox.bank import Bank

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money, pytest.mark.slow]
CARDS = ("pm_success", "pm_charges_then_times_out", "pm_times_out_before", "pm_declined", "pm_3ds")
ORDERS = 60
Got = TypeVar("Got")


@pytest.mark.parametrize("seed", range(3))
def test_everybody_at_once(sandbox_gateway: InProcessGateway, seed: int) -> None:
    """FAILURES 13 and 14: what is undone is undone, what is barred is never taken, and nothing is taken twice."""
    bank, chance = sandbox_gateway.bank, random.Random(seed)  # noqa: S311 - to be repeatable, not secret
    orders = ask_for(*(chance.choice(CARDS) for _ in range(ORDERS)))
    to_undo, to_prevent = chance.sample(orders, ORDERS // 3), chance.sample(orders, ORDERS // 3)
    never: set[UUID] = set()
    asked = threading.Event()

    def work() -> None:
        worker = GatewayWorker()
        while not asked.is_set():
            again(worker.work)
            again(make_due)
        # What is in hand. Whoever still waits for the buyer would be asked after for ever.
        while again(worker.work):
            pass

    def end_some() -> None:
        for order_id in to_undo:
            again(partial(undo, order_id))

    def give_up_some() -> None:
        for order_id in to_prevent:
            never.update(again(partial(prevent_charge, order_id)))

    with ThreadPoolExecutor(6) as threads:
        workers = [threads.submit(alone, work) for _ in range(3)]
        others = [threads.submit(alone, each) for each in (end_some, give_up_some, lambda: confirm_all(bank, asked))]
        for other in others[:2]:
            other.result(60)
        asked.set()
        for each in [*workers, others[2]]:
            each.result(60)
    Charge.objects.update(act_by=timezone.now() - timedelta(seconds=60))
    run_to_the_end(GatewayWorker())

    by_order = {charge.order_id: charge for charge in Charge.objects.all()}
    payments = {payment.key: payment for payment in bank.statement()}
    entries = Counter((e.transaction_id, e.kind) for e in bank.entries() if not e.declined and e.kind != "refund")
    assert set(entries.values()) <= {1}
    assert {p.standing for p in payments.values()} <= {"captured", "voided", "declined"}
    told = Counter((event.key, event.TYPE) for event in testing.stated())
    for order_id, charge in by_order.items():
        payment = payments.get(str(charge.pk))
        kept = payment.captured_minor - payment.refunded_minor if payment else 0
        assert kept == (PRICE if charge.state == "succeeded" and order_id not in to_undo else 0), charge
        assert order_id not in never or payment is None or not payment.captured_minor
        assert told[str(order_id), "payment.confirmed"] == (charge.state == "succeeded")
        assert charge.refunded_minor == (payment.refunded_minor if payment else 0)
    assert any(charge.state == "succeeded" for charge in by_order.values())


def alone(work: Callable[[], object]) -> None:
    """In a thread, which has a connection of its own."""
    try:
        work()
    finally:
        connection.close()


def again(work: Callable[[], Got]) -> Got:
    """As the bridge does it: after a deadlock the same once more."""
    while True:
        try:
            return work()
        except OperationalError as error:
            if not error_classes.is_conflict(error):
                raise


def confirm_all(bank: Bank, asked: threading.Event) -> None:
    """Buyers who confirm whatever their bank asks."""
    while not asked.wait(0.05):
        for payment in bank.statement():
            bank.confirm(payment.transaction_id)
