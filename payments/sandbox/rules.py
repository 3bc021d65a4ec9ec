"""What the bank allows: what is captured is captured once and never exceeds what was authorized, and what goes back
never exceeds what was captured.
"""

import enum

from payments.gateways import PaymentStatus
from payments.sandbox.books import Payment
from payments.sandbox.cards import TestCard

MOST_MINOR = 10**12


class Code(enum.StrEnum):
    """Why a call was not even entered in the books."""

    BAD_REQUEST = "bad_request"
    KEY_REUSED = "key_reused"
    NO_SUCH_PAYMENT = "no_such_payment"
    NO_SUCH_REFUND = "no_such_refund"


class Refused(Exception):
    """The call makes no sense to the bank, and nothing was entered: correct it; `code` says what is wrong."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def decline_capture(payment: Payment, amount_minor: int) -> str:
    """Why this much cannot be captured; empty if it can."""
    if payment.standing != PaymentStatus.AUTHORIZED:
        return f"the payment is not authorized but {payment.standing}"
    return "" if amount_minor <= payment.amount_minor else f"only {payment.amount_minor} are authorized"


def decline_void(payment: Payment, _: int) -> str:
    """Why it cannot be let go of; empty if it can."""
    if payment.standing in (PaymentStatus.AUTHORIZED, PaymentStatus.ACTION):
        return ""
    return f"the payment is not authorized but {payment.standing}"


def decline_refund(payment: Payment, amount_minor: int) -> str:
    """Why this much cannot go back; empty if it can."""
    left = payment.captured_minor - payment.refunded_minor
    return "" if amount_minor <= left else f"only {left} of this payment are left"


def check(*, key: str, amount_minor: int, least_minor: int = 0) -> None:
    """Refuse what is no call at all.

    Raises:
        Refused: the key or the amount is impossible.
    """
    if not 0 < len(key) <= 255:
        raise Refused(Code.BAD_REQUEST, "the key has 1 to 255 characters")
    if not least_minor <= amount_minor <= MOST_MINOR:
        raise Refused(Code.BAD_REQUEST, f"the amount is from {least_minor} to {MOST_MINOR} minor units")


def first_standing(card: TestCard) -> PaymentStatus:
    """How a new payment stands, by its card."""
    if card.declines_with:
        return PaymentStatus.DECLINED
    return PaymentStatus.ACTION if card.asks_buyer else PaymentStatus.AUTHORIZED
