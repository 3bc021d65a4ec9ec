"""Carries charges and refunds to the gateway: many calls at a time, none inside a transaction.

The answers that have come in are settled together in one transaction, which also takes what is due then, the next steps
of these charges included; a slow call keeps nobody else waiting.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction

from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import error_classes
from kafka_bridge.telemetry import tracing
from payments import gateway_calls, gateways
from payments.gateways import Answer, Unknown
from payments.models import Charge, Refund
from payments.state_machine import claiming, settlement
from payments.state_machine.transitions import GatewayAnswer

log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.02
_BETWEEN_LOOKS_SECONDS = 0.1
AnswerT = TypeVar("AnswerT")


@dataclass
class ReceivedAnswers:
    """What has come in: rows as they were claimed, and what the gateway said."""

    charges: list[tuple[Charge, GatewayAnswer | Unknown]] = field(default_factory=list)
    refunds: list[tuple[Refund, Answer]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.charges) + len(self.refunds)

    def __iter__(self) -> "Iterator[ReceivedAnswers]":
        """Each alone."""
        for charge in self.charges:
            yield ReceivedAnswers(charges=[charge])
        for refund in self.refunds:
            yield ReceivedAnswers(refunds=[refund])


class GatewayWorker:
    """Keeps track of the calls under way in this process. `work` is called again and again by one thread."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._charges: dict[Future[GatewayAnswer | Unknown], Charge] = {}
        self._refunds: dict[Future[Answer], Refund] = {}
        self._answers = ReceivedAnswers()
        self._look_at = 0.0
        """By the monotonic clock; until then, what is due is taken with the answers that are settled."""

    def work(self) -> bool:
        """Start what is due, settle what was answered. True if there may be more at once.

        Raises:
            django.db.Error: the answers could not be written; they are kept and written at the next call.
        """
        if not self._under_way or time.monotonic() >= self._look_at:
            self._start_due()
        self._gather()
        settled = self._settle()
        return settled > 0 or self._under_way > 0

    @property
    def _under_way(self) -> int:
        return len(self._charges) + len(self._refunds)

    @property
    def _room(self) -> int:
        """How many calls may be begun: no more than the gateway is to be asked now.

        A row that is taken in vain waits until its lease is over.
        """
        return gateways.current().room(settings.PAYMENT_CONCURRENT_CALLS - self._under_way)

    def _start_due(self) -> None:
        self._look_at = time.monotonic() + _BETWEEN_LOOKS_SECONDS
        if (room := self._room) <= 0:
            return
        charges = claiming.claim_charges(limit=room)
        self._call(charges)
        room -= len(charges)
        for refund in claiming.claim_refunds(limit=room) if room else ():
            self._refunds[self._threads.submit(gateway_calls.give_back, refund)] = refund

    def _call(self, charges: Sequence[Charge]) -> None:
        for charge in charges:
            self._charges[self._threads.submit(gateway_calls.carry_out, charge)] = charge

    @property
    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(settings.PAYMENT_CONCURRENT_CALLS, thread_name_prefix="gateway")
        return self._pool

    def _gather(self) -> None:
        if not self._under_way:
            return
        under_way: list[Future[Any]] = [*self._charges, *self._refunds]
        wait(under_way, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
        for charge_call in [call for call in self._charges if call.done()]:
            self._answers.charges.append((self._charges.pop(charge_call), _answer_of(charge_call)))
        for refund_call in [call for call in self._refunds if call.done()]:
            self._answers.refunds.append((self._refunds.pop(refund_call), _answer_of(refund_call)))

    def _settle(self) -> int:
        if not self._answers:
            return 0
        try:
            self._call(_write(self._answers, room=self._room))
        except Exception as error:
            if error_classes.is_infrastructure(error) or error_classes.is_conflict(error):
                raise
            log.exception("%d answers could not be written together; each is tried alone", len(self._answers))
            self._write_each()
        settled = len(self._answers)
        self._answers = ReceivedAnswers()
        return settled

    def _write_each(self) -> None:
        """One that cannot be written hurts nobody else: when its lease is over, the gateway is asked again."""
        for answer in self._answers:
            try:
                _write(answer)
            except Exception:
                log.exception("%s could not be written", answer)


def _write(came_in: ReceivedAnswers, *, room: int = 0) -> list[Charge]:
    """Settle these, and take up to so many charges that are due then."""
    with transaction.atomic(durable=True), tracing.in_group(gateway_calls.GROUP), outbox.collect():
        settlement.settle(charges=came_in.charges, refunds=came_in.refunds)
        return claiming.claim_charges(limit=room) if room > 0 else []


def _answer_of(call: Future[AnswerT]) -> AnswerT | Unknown:
    """A call that raised is one whose outcome is unknown, whatever the bug: money may have moved."""
    error = call.exception()
    return call.result() if error is None else Unknown(f"{type(error).__name__}: {error}")
