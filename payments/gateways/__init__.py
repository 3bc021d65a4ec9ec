"""What a payment gateway must offer, and which one is set.

An answer is one of four types; an unknown outcome is an answer too, never an exception that might be forgotten.

# Note [The same key]
Every call that changes something carries a key, and the row that the key comes from is written before the call. The
same key means the same call: made twice, it is carried out once and answers the same. So after an unknown outcome the
same call is made again, or the gateway is asked what became of it; a new key would be a second payment.
"""

import enum
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Protocol, TypeVar

from django.conf import settings
from django.utils.module_loading import import_string

from payments.gateways.circuit_breaker import CircuitBreaker, Ticket

log = logging.getLogger(__name__)
AnswerT = TypeVar("AnswerT")


# -- Answers ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Succeeded:
    """It is done; the gateway calls the payment (or the refund) by this id."""

    transaction_id: str


@dataclass(frozen=True)
class Declined:
    """The gateway refuses, for good; the reason is in words for the buyer."""

    reason: str


@dataclass(frozen=True)
class RequiresAction:
    """The buyer has to confirm at this address (3-D Secure) before the payment goes on."""

    transaction_id: str
    url: str


@dataclass(frozen=True)
class Unknown:
    """No answer, or none that can be trusted. Ask again with the same key, never with a new one."""

    detail: str


Answer = Succeeded | Declined | RequiresAction | Unknown


# -- What the gateway has on record ----------------------------------------------------------------------
class PaymentStatus(enum.StrEnum):
    """How far a payment is, as the gateway has it on record."""

    ACTION = "requires action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"
    DECLINED = "declined"


@dataclass(frozen=True, kw_only=True)
class Payment:
    """One payment as the gateway knows it; amounts in minor units."""

    key: str
    """Our key of the authorization: the id of the charge."""
    transaction_id: str
    standing: PaymentStatus
    amount_minor: int
    currency: str
    captured_minor: int = 0
    refunded_minor: int = 0
    reason: str = ""
    """Why it was declined, in words for the buyer."""
    url: str = ""
    """Where the buyer confirms it."""


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """What a webhook told: that something happened to a payment. Only a hint; the gateway is asked what it was."""

    event_id: str
    """Unique: a second webhook with this id is the same one."""
    kind: str
    """As the gateway calls it."""
    transaction_id: str
    key: str
    """Our key of the authorization; empty where the gateway does not say it."""
    at: datetime


class NotGenuine(Exception):
    """A webhook that was not signed by the gateway, or too long ago; answer 400 and believe nothing of it."""


class Gateway(Protocol):
    """A gateway. Calls block, never longer than `settings.PAYMENT_TIMEOUT_SECONDS`, and are made outside of database
    transactions; whatever goes wrong under way is an `Unknown`. See Note [The same key].
    """

    def authorize(self, *, key: str, amount_minor: int, currency: str, payment_method: str, return_url: str) -> Answer:
        """Set this much aside on the buyer's card, in minor units; nothing is taken yet.

        Where the buyer has to confirm, the gateway sends them on to `return_url` afterwards.
        """
        ...

    def capture(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Take what was authorized. `Declined` where there is no such authorization any more."""
        ...

    def void(self, *, key: str, transaction_id: str) -> Answer:
        """Let an authorization go (or a payment that still waits for the buyer). `Declined` once it is captured."""
        ...

    def refund(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Give back this much of a captured payment, in minor units; `Declined` where so much is not left."""
        ...

    def find(self, *, key: str, transaction_id: str = "") -> Payment | Unknown | None:
        """The payment that was authorized with this key; None if no such call ever arrived."""
        ...

    def find_refund(self, *, key: str, transaction_id: str) -> Succeeded | Declined | Unknown | None:
        """What became of the refund with this key of this payment; None if the call never arrived."""
        ...

    def statement(self, *, since: datetime) -> Iterator[Payment]:
        """Every payment begun since then, with what was captured and refunded of it; for the audit.

        Raises:
            OSError: the gateway does not answer.
        """
        ...

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        """What a webhook says; None for a genuine one that is not about a payment.

        The signature is checked over the bytes as they came, before anything of them is read.

        Raises:
            NotGenuine: the signature is missing, wrong or too old, or the body cannot be read.
        """
        ...


class Guarded:
    """A gateway behind a circuit breaker. Whatever goes wrong with a call is an `Unknown`, also a bug in the gateway:
    money may have moved.

    Whether a gateway that was left alone answers again is tried by looking something up. A call that moves money would
    tell less: just that one may be of those that get no answer, and so would the next one be.
    """

    def __init__(self, gateway: Gateway, breaker: CircuitBreaker) -> None:
        self.gateway = gateway
        self.breaker = breaker

    def room(self, wanted: int) -> int:
        """How many of so many calls may be begun now: all, one (a probe), or none while the gateway is left alone."""
        return self.breaker.room(wanted)

    def authorize(self, *, key: str, amount_minor: int, currency: str, payment_method: str, return_url: str) -> Answer:
        """See `Gateway.authorize`."""
        return self._move(
            lambda: self.gateway.authorize(
                key=key,
                amount_minor=amount_minor,
                currency=currency,
                payment_method=payment_method,
                return_url=return_url,
            ),
            key=key,
        )

    def capture(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """See `Gateway.capture`."""
        return self._move(
            lambda: self.gateway.capture(key=key, transaction_id=transaction_id, amount_minor=amount_minor),
            key=key,
            transaction_id=transaction_id,
        )

    def void(self, *, key: str, transaction_id: str) -> Answer:
        """See `Gateway.void`."""
        return self._move(
            lambda: self.gateway.void(key=key, transaction_id=transaction_id), key=key, transaction_id=transaction_id
        )

    def refund(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """See `Gateway.refund`."""
        return self._move(
            lambda: self.gateway.refund(key=key, transaction_id=transaction_id, amount_minor=amount_minor),
            key=key,
            transaction_id=transaction_id,
        )

    def find(self, *, key: str, transaction_id: str = "") -> Payment | Unknown | None:
        """See `Gateway.find`."""
        ticket = self.breaker.admit()
        return self._call(ticket, lambda: self.gateway.find(key=key, transaction_id=transaction_id))

    def find_refund(self, *, key: str, transaction_id: str) -> Succeeded | Declined | Unknown | None:
        """See `Gateway.find_refund`."""
        ticket = self.breaker.admit()
        return self._call(ticket, lambda: self.gateway.find_refund(key=key, transaction_id=transaction_id))

    def statement(self, *, since: datetime) -> Iterator[Payment]:
        """See `Gateway.statement`; not guarded, as nothing that is waited for depends on it."""
        return self.gateway.statement(since=since)

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        """See `Gateway.read_webhook`."""
        return self.gateway.read_webhook(body=body, headers=headers)

    def _move(self, call: Callable[[], Answer], *, key: str, transaction_id: str = "") -> Answer:
        """A call that moves money, after a look if it is the first one for a while (so it may take twice as long)."""
        ticket = self.breaker.admit()
        if ticket is not None and ticket.is_probe:
            found = self._call(ticket, lambda: self.gateway.find(key=key, transaction_id=transaction_id))
            if isinstance(found, Unknown):
                return found
            ticket = self.breaker.admit()
        return self._call(ticket, call)

    def _call(self, ticket: Ticket | None, call: Callable[[], AnswerT]) -> AnswerT | Unknown:
        if ticket is None:
            return Unknown("the gateway has not answered for a while and is left alone for some seconds")
        answer: AnswerT | Unknown = Unknown("the call was broken off")
        try:
            answer = call()
        except Exception as error:
            log.exception("The gateway raised instead of answering")
            answer = Unknown(f"{type(error).__name__}: {error}")
        finally:
            self.breaker.note(ticket, answered=not isinstance(answer, Unknown))
        return answer


@cache
def current() -> Guarded:
    """The gateway of `settings.PAYMENT_GATEWAY` behind its circuit breaker, one per process."""
    gateway: Gateway = import_string(settings.PAYMENT_GATEWAY)()
    breaker = CircuitBreaker(failures=settings.PAYMENT_BREAKER_FAILURES, seconds=settings.PAYMENT_BREAKER_SECONDS)
    return Guarded(gateway, breaker)
