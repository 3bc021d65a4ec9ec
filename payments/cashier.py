"""Carries requested charges and refunds to the gateway: many calls at a time, none inside a transaction.

The answers that have come in are settled together in one transaction; a slow call keeps nobody else waiting.
"""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.conf import settings
from django.db import transaction

from kafka_bridge import outbox
from payments import gateways, services
from payments.gateways import Answer, Unknown
from payments.models import Charge, Refund

_LOOK_SECONDS = 0.02


class Cashier:
    """Keeps track of the calls under way in this process. `work` is called again and again by one thread."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._calls: dict[Future[Answer], Charge | Refund] = {}
        self._answered: list[tuple[Charge | Refund, Answer]] = []

    def work(self) -> bool:
        """Start what is due, settle what was answered. True if there may be more at once.

        Raises:
            django.db.Error: the answers could not be written; they are kept and written at the next call.
        """
        self._start_due()
        self._gather()
        settled = self._settle()
        return settled > 0 or bool(self._calls)

    def _start_due(self) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(settings.PAYMENT_CONCURRENT_CALLS, thread_name_prefix="gateway")
        free = settings.PAYMENT_CONCURRENT_CALLS - len(self._calls)
        if free > 0:
            for charge in services.claim_charges(limit=free):
                self._calls[self._pool.submit(_charge, charge)] = charge
            for refund in services.claim_refunds(limit=max(1, free - len(self._calls))):
                self._calls[self._pool.submit(_refund, refund)] = refund

    def _gather(self) -> None:
        if not self._calls:
            return
        for done in wait(self._calls, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED).done:
            self._answered.append((self._calls.pop(done), _answer_of(done)))

    def _settle(self) -> int:
        if not self._answered:
            return 0
        with transaction.atomic(durable=True), outbox.collect():
            services.settle(
                charges=[(row, answer) for row, answer in self._answered if isinstance(row, Charge)],
                refunds=[(row, answer) for row, answer in self._answered if isinstance(row, Refund)],
            )
        settled = len(self._answered)
        self._answered.clear()
        return settled


def _answer_of(call: "Future[Answer]") -> Answer:
    """A gateway that raised is one whose answer is unknown, whatever the bug: money may have moved."""
    error = call.exception()
    return call.result() if error is None else Unknown(f"{type(error).__name__}: {error}")


def _charge(charge: Charge) -> Answer:
    return gateways.current().charge(
        key=str(charge.pk),
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        payment_method=charge.payment_method,
    )


def _refund(refund: Refund) -> Answer:
    return gateways.current().refund(
        key=str(refund.pk), transaction_id=refund.charge.transaction_id, amount_minor=refund.amount_minor
    )
