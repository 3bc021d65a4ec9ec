"""What a payment gateway must offer, and which one is set.

An answer is one of three types; an unknown outcome is an answer too, never an exception that somebody might forget.
"""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string


@dataclass(frozen=True)
class Succeeded:
    """It is done; the gateway calls it by this id."""

    transaction_id: str


@dataclass(frozen=True)
class Declined:
    """The gateway refuses, for good; the reason is in words for the buyer."""

    reason: str


@dataclass(frozen=True)
class Unknown:
    """No answer, or none that can be trusted. Ask again with the same key, never with a new one."""

    detail: str


Answer = Succeeded | Declined | Unknown


class Gateway(Protocol):
    """A gateway. Calls block, never longer than their time-out, and are made outside of database transactions.

    The same key means the same call: made twice, it is carried out once and answers the same.
    """

    def charge(self, *, key: str, amount_minor: int, currency: str, payment_method: str) -> Answer:
        """Take this much, in minor units."""
        ...

    def refund(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Give back this much of a charge, in minor units."""
        ...

    def find(self, *, key: str) -> Succeeded | Declined | None:
        """What became of the call with this key; None if it never arrived."""
        ...


@cache
def current() -> Gateway:
    """The gateway of `settings.PAYMENT_GATEWAY`, one per process."""
    gateway: Gateway = import_string(settings.PAYMENT_GATEWAY)()
    return gateway
