"""What Stripe answers, and what that means here: payments, refunds, refusals and their reasons.

It reads answers only; the calls are made in `stripe.py`.
"""

from typing import Any

import msgspec
import stripe

from payments.gateways import Answer, Declined, Payment, PaymentStatus, RequiresAction, Succeeded, Unknown

OUR_KEY = "charge_id"
OUR_REFUND_KEY = "refund_id"
DETAIL_LENGTH = 200
_STANDINGS = {
    "requires_action": PaymentStatus.ACTION,
    "requires_capture": PaymentStatus.AUTHORIZED,
    "succeeded": PaymentStatus.CAPTURED,
    "canceled": PaymentStatus.VOIDED,
    "requires_payment_method": PaymentStatus.DECLINED,
}
# Why a card was declined, for its holder. Whatever hints at theft or fraud is only "declined" (as Stripe advises).
_REASONS = {
    "authentication_required": "the payment was not confirmed with the bank",
    "expired_card": "the card has expired",
    "incorrect_cvc": "the card's security code is wrong",
    "incorrect_number": "the card's number is wrong",
    "incorrect_zip": "the postcode does not belong to the card",
    "insufficient_funds": "insufficient funds",
    "invalid_cvc": "the card's security code is wrong",
    "invalid_expiry_month": "the card's expiry date is wrong",
    "invalid_expiry_year": "the card's expiry date is wrong",
    "invalid_number": "the card's number is wrong",
    "payment_intent_authentication_failure": "the payment was not confirmed with the bank",
    "processing_error": "the bank could not process the card",
    "card_not_supported": "the card does not support this purchase",
    "currency_not_supported": "the card does not support this currency",
    "card_velocity_exceeded": "the card's limit is reached",
    "withdrawal_count_limit_exceeded": "the card's limit is reached",
}
CARD_DECLINED = "card declined"
CARD_UNUSABLE = "the card can no longer be used for this payment"
AMOUNT_UNUSABLE = "this amount cannot be paid by card"
# What can come of a call besides a refusal; the SDK lets some errors of decoding through.
TROUBLE = (stripe.StripeError, msgspec.ValidationError, ValueError)
_AMOUNT_CODES = frozenset({"amount_too_small", "amount_too_large"})


class _Charge(msgspec.Struct):
    id: str
    amount_refunded: int = 0


class StripeError(msgspec.Struct):
    code: str | None = None
    decline_code: str | None = None


class Intent(msgspec.Struct):
    """As much of a PaymentIntent as is read here."""

    id: str
    status: str
    amount: int
    currency: str
    amount_received: int = 0
    metadata: dict[str, str] = {}
    next_action: dict[str, Any] | None = None
    last_payment_error: StripeError | None = None
    latest_charge: _Charge | str | None = None

    @property
    def url(self) -> str:
        """Where the buyer confirms the payment; empty if it is not by going to a page."""
        redirect = (self.next_action or {}).get("redirect_to_url") or {}
        return str(redirect.get("url") or "")


class StripeRefund(msgspec.Struct):
    id: str
    status: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None


def authorized(intent: Intent) -> Answer:
    match intent.status:
        case "requires_capture" | "succeeded":
            return Succeeded(intent.id)
        case "requires_action" if intent.url:
            return RequiresAction(intent.id, intent.url)
        case "requires_payment_method" | "canceled":
            return Declined(reason_of(intent.last_payment_error))
    return Unknown(f"Stripe: payment {intent.id} is {intent.status}")


def payment_of(intent: Intent) -> Payment | Unknown:
    standing = _STANDINGS.get(intent.status)
    if standing is None:
        return Unknown(f"Stripe: payment {intent.id} is {intent.status}")
    charge = intent.latest_charge
    return Payment(
        key=intent.metadata.get(OUR_KEY, ""),
        transaction_id=intent.id,
        standing=standing,
        amount_minor=intent.amount,
        currency=intent.currency.upper(),
        captured_minor=intent.amount_received,
        refunded_minor=charge.amount_refunded if isinstance(charge, _Charge) else 0,
        reason=reason_of(intent.last_payment_error) if standing is PaymentStatus.DECLINED else "",
        url=intent.url,
    )


def refunded(refund: StripeRefund) -> Succeeded | Declined | Unknown:
    match refund.status:
        case "succeeded":
            return Succeeded(refund.id)
        case "failed" | "canceled":
            return Declined(f"Stripe: refund {refund.id} {refund.status}: {refund.failure_reason or 'no reason given'}")
    return Unknown(f"Stripe: refund {refund.id} is {refund.status}")


def reason_of(error: StripeError | None) -> str:
    """In words for the buyer."""
    codes = (error.decline_code, error.code) if error else ()
    return next((_REASONS[code] for code in codes if code in _REASONS), CARD_DECLINED)


def refusal(error: stripe.InvalidRequestError) -> Declined | Unknown:
    """A card or an amount with which it never works is declined; with anything else our settings are wrong.

    In that case nothing was taken, and the same call works once they are right.
    """
    if error.code in _AMOUNT_CODES:
        return Declined(AMOUNT_UNUSABLE)
    if error.param == "payment_method" or "PaymentMethod" in (error.user_message or ""):
        return Declined(CARD_UNUSABLE)
    return unknown(error)


def unknown(error: Exception) -> Unknown:
    hint = (
        "; look at STRIPE_SECRET_KEY" if isinstance(error, stripe.AuthenticationError | stripe.PermissionError) else ""
    )
    return Unknown(f"{detail_of(error)}{hint}")


def detail_of(error: Exception) -> str:
    words = str(error)
    if isinstance(error, stripe.APIConnectionError):
        # Its own words are three lines of advice; what happened stands at the bottom.
        bottom: BaseException = error
        while (below := bottom.__cause__ or bottom.__context__) is not None:
            bottom = below
        words = f"{type(bottom).__name__}: {bottom}"
    return f"Stripe: {type(error).__name__}: {' '.join(words.split())}"[:DETAIL_LENGTH]


def error_of(error: stripe.CardError) -> StripeError:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    return msgspec.convert(body.get("error") or {}, StripeError)


def _convert(found: object, type_: type[Any]) -> Any:
    """Read an answer; something else than the object that was asked for is a `ValidationError`."""
    return msgspec.convert(found.to_dict() if isinstance(found, stripe.StripeObject) else found, type_)


def intent_of(found: object) -> Intent:
    intent: Intent = _convert(found, Intent)
    return intent


def refund_of(found: object) -> StripeRefund:
    refund: StripeRefund = _convert(found, StripeRefund)
    return refund
