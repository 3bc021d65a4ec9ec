"""Playing the gateway worker in tests: without waiting for leases and pauses to be over."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from devtools.testing.payments.charges import answer, claim
from kafka_bridge import testing
from payments import gateway_calls
from payments.gateway_worker import GatewayWorker
from payments.models import Charge, Refund


def make_due() -> int:
    """As if all leases, pauses and times between two looks were over; how many rows wait for the gateway."""
    earlier = Now() - timedelta(seconds=1)
    charges = Charge.objects.filter(state__in=Charge.OPEN)
    refunds = Refund.objects.filter(state=Refund.State.REQUESTED)
    with transaction.atomic():
        # In the usual lock sequence, since workers may be running.
        list(charges.order_by("pk").select_for_update())
        waiting = charges.update(next_attempt_at=earlier)
    return waiting + refunds.update(next_attempt_at=earlier)


def run(worker: GatewayWorker) -> None:
    """Let a worker work until it has nothing to do, with what is due."""
    testing.wait_until(lambda: not worker.work(), what="an idle worker")


def run_to_the_end(worker: GatewayWorker, *, rounds: int = 20) -> None:
    """Let a worker work until nothing waits for the gateway any more, with all times over at once.

    Raises:
        TimeoutError: something waits for ever, such as for a buyer.
    """
    for _ in range(rounds):
        run(worker)
        if not make_due():
            return
    raise TimeoutError(f"after {rounds} rounds something still waits for the gateway")


def take_one_step() -> None:
    """Take the one charge that is due, ask the gateway once, and write its answer."""
    claimed = claim()
    answer(claimed, gateway_calls.carry_out(claimed))
