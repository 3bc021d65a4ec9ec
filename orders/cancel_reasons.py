"""Why an order was cancelled: a code, and a detail in words where there is one.

# Note [One text]
The column `Order.cancel_reason` and the `reason` of order.cancelled hold one text, and always have: the code alone,
"payment failed: " with what the gateway said, or what staff wrote who cancelled the order. Old rows and events
are read like new ones, so `CancelReason.parse` is the only place that takes such a text apart.
"""

from dataclasses import dataclass
from typing import Self

from django.db import models

LENGTH = 120
_SEPARATOR = ": "


class CancelCode(models.TextChoices):
    """What ended the order."""

    OUT_OF_STOCK = "out of stock"
    OVER_LIMIT = "limit per customer reached"
    NOT_PAID = "not paid in time"
    TOO_MANY_UNPAID = "too many unpaid orders"
    TIMED_OUT = "not completed in time"
    BY_BUYER = "cancelled by the buyer"
    PAYMENT_FAILED = "payment failed"
    """The detail is the gateway's reason, in words for the buyer."""
    OTHER = "other"
    """The detail is what staff wrote, and all of the text."""


_ALONE = frozenset(CancelCode.values) - {CancelCode.OTHER}


@dataclass(frozen=True)
class CancelReason:
    """Why an order was cancelled."""

    code: CancelCode
    detail: str = ""

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Take the text of a row or of an event apart; None for an empty one."""
        if not text:
            return None
        code, separator, detail = text.partition(_SEPARATOR)
        if separator and code == CancelCode.PAYMENT_FAILED:
            return cls(CancelCode.PAYMENT_FAILED, detail)
        if text in _ALONE:
            return cls(CancelCode(text))
        return cls(CancelCode.OTHER, text)

    def __str__(self) -> str:
        """The text, as rows and events hold it."""
        if self.code is CancelCode.OTHER:
            return self.detail[:LENGTH]
        return f"{self.code}{_SEPARATOR}{self.detail}"[:LENGTH] if self.detail else str(self.code)

    @property
    def is_known_unpaid(self) -> bool:
        """Whether payments has seen to it that the order is never charged."""
        return self.code in (CancelCode.PAYMENT_FAILED, CancelCode.NOT_PAID, CancelCode.TOO_MANY_UNPAID)


OUT_OF_STOCK = CancelReason(CancelCode.OUT_OF_STOCK)
OVER_LIMIT = CancelReason(CancelCode.OVER_LIMIT)
NOT_PAID = CancelReason(CancelCode.NOT_PAID)
TOO_MANY_UNPAID = CancelReason(CancelCode.TOO_MANY_UNPAID)
TIMED_OUT = CancelReason(CancelCode.TIMED_OUT)
BY_BUYER = CancelReason(CancelCode.BY_BUYER)
