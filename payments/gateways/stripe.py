"""Stripe, by its official SDK: a PaymentIntent for each charge, authorized and captured in two calls.

Amounts are in minor units there too. Stripe keeps an idempotency key for a day or longer; our own key stands in the
payment's (and the refund's) metadata besides, where `find` looks for it. https://docs.stripe.com/api/payment_intents
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
import stripe
from django.conf import settings
from django.utils import timezone

from payments.gateways import (
    Answer,
    Declined,
    NotGenuine,
    Payment,
    PaymentStatus,
    RequiresAction,
    Succeeded,
    Unknown,
    WebhookEvent,
    signatures,
)

SIGNATURE_HEADER = "Stripe-Signature"
OUR_KEY = "charge_id"
OUR_REFUND_KEY = "refund_id"
PAGE = 100
# Newer payments than this are looked for in the list, which is always complete; older ones in the search's index,
# which can be some minutes behind.
LISTED = timedelta(minutes=15)
CLOCKS_DIFFER = timedelta(minutes=1)
DETAIL_LENGTH = 200

_STANDINGS = {
    "requires_action": PaymentStatus.ACTION,
    "requires_capture": PaymentStatus.AUTHORIZED,
    "succeeded": PaymentStatus.CAPTURED,
    "canceled": PaymentStatus.VOIDED,
    "requires_payment_method": PaymentStatus.DECLINED,
}
# What a payment or refund can become without our asking, or what an answer that got lost would have told.
_HEARD = frozenset({
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "charge.captured",
    "charge.expired",
    "charge.refunded",
    "charge.refund.updated",
    "refund.failed",
    "refund.updated",
})  # fmt: skip
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
_TROUBLE = (stripe.StripeError, msgspec.ValidationError, ValueError)
_AMOUNT_CODES = frozenset({"amount_too_small", "amount_too_large"})


class _Charge(msgspec.Struct):
    id: str
    amount_refunded: int = 0


class _Error(msgspec.Struct):
    code: str | None = None
    decline_code: str | None = None


class _Intent(msgspec.Struct):
    """As much of a PaymentIntent as is read here."""

    id: str
    status: str
    amount: int
    currency: str
    amount_received: int = 0
    metadata: dict[str, str] = {}
    next_action: dict[str, Any] | None = None
    last_payment_error: _Error | None = None
    latest_charge: _Charge | str | None = None

    @property
    def url(self) -> str:
        """Where the buyer confirms the payment; empty if it is not by going to a page."""
        redirect = (self.next_action or {}).get("redirect_to_url") or {}
        return str(redirect.get("url") or "")


class _Refund(msgspec.Struct):
    id: str
    status: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None


class _Told(msgspec.Struct):
    """The object that a webhook is about: a payment, or a charge or refund of one."""

    id: str
    object: str = ""
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None


class _Data(msgspec.Struct):
    object: _Told


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int
    data: msgspec.Raw


class StripeGateway:
    """Stripe with the keys from the settings. One for a process; its methods may be called by many threads."""

    def __init__(self) -> None:
        # Both together are what a call may take; reading is what takes long.
        timeout = settings.PAYMENT_TIMEOUT_SECONDS
        self._stripe = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            base_addresses={"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else {},
            # Whoever calls us tries again, with the same key and in its own time.
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(timeout * 0.3, timeout * 0.7)),
        )

    def authorize(self, *, key: str, amount_minor: int, currency: str, payment_method: str, return_url: str) -> Answer:
        """Make and confirm a payment that is captured later."""
        try:
            intent = _intent(
                self._stripe.v1.payment_intents.create(
                    {
                        "amount": amount_minor,
                        "currency": currency.lower(),
                        "payment_method": payment_method,
                        "allowed_payment_method_types": ["card"],
                        "capture_method": "manual",
                        "confirm": True,
                        "return_url": return_url,
                        "metadata": {OUR_KEY: key},
                    },
                    {"idempotency_key": key},
                )
            )
        except stripe.CardError as error:
            return Declined(_reason(_error_of(error)))
        except stripe.InvalidRequestError as error:
            return _refusal(error)
        except _TROUBLE as error:
            return _unknown(error)
        return _authorized(intent)

    def capture(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Take it."""
        payment, refused = self._step(
            transaction_id,
            lambda: self._stripe.v1.payment_intents.capture(
                transaction_id, {"amount_to_capture": amount_minor}, {"idempotency_key": key}
            ),
        )
        match payment:
            case Unknown():
                return payment
            case Payment(standing=PaymentStatus.CAPTURED) if payment.captured_minor == amount_minor:
                return Succeeded(transaction_id)
            case Payment(standing=PaymentStatus.VOIDED | PaymentStatus.DECLINED):
                return Declined("the authorization has expired or was cancelled")
        return Unknown(refused or f"Stripe: {payment.captured_minor} of payment {transaction_id} were captured")

    def void(self, *, key: str, transaction_id: str) -> Answer:
        """Cancel it."""
        payment, refused = self._step(
            transaction_id, lambda: self._stripe.v1.payment_intents.cancel(transaction_id, {}, {"idempotency_key": key})
        )
        match payment:
            case Unknown():
                return payment
            case Payment(standing=PaymentStatus.VOIDED):
                return Succeeded(transaction_id)
            case Payment(standing=PaymentStatus.CAPTURED):
                return Declined("it is captured already")
        return Unknown(refused or f"Stripe: payment {transaction_id} {payment.standing} after it was cancelled")

    def refund(self, *, key: str, transaction_id: str, amount_minor: int) -> Answer:
        """Give back; refused, look whether this very refund was made before Stripe forgot its key."""
        try:
            refund = self._stripe.v1.refunds.create(
                {"payment_intent": transaction_id, "amount": amount_minor, "metadata": {OUR_REFUND_KEY: key}},
                {"idempotency_key": key},
            )
            return _refunded(_convert(refund, _Refund))
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            refused = Declined(_detail(error))
        except _TROUBLE as error:
            return _unknown(error)
        return self.find_refund(key=key, transaction_id=transaction_id) or refused

    def find(self, *, key: str, transaction_id: str = "") -> Payment | Unknown | None:
        """By Stripe's id if there is one, else by our key in the metadata."""
        if transaction_id:
            return self._look(transaction_id)
        try:
            for intent in self._with_key(key):
                return _standing(intent)
        except _TROUBLE as error:
            return _unknown(error)
        return None

    def find_refund(self, *, key: str, transaction_id: str) -> Succeeded | Declined | Unknown | None:
        """By our key in the metadata of the payment's refunds."""
        try:
            found = self._stripe.v1.refunds.list({"payment_intent": transaction_id, "limit": PAGE})
            for refund in map(_as_refund, found.auto_paging_iter()):
                if (refund.metadata or {}).get(OUR_REFUND_KEY) == key:
                    return _refunded(refund)
        except _TROUBLE as error:
            return _unknown(error)
        return None

    def statement(self, *, since: datetime) -> Iterator[Payment]:
        """Every payment since then whose card was not only being entered; newest first, a page at a time."""
        try:
            for intent in self._list(since=since):
                payment = _standing(intent)
                if isinstance(payment, Payment):
                    yield payment
        except _TROUBLE as error:
            raise OSError(_detail(error)) from error

    def read_notice(self, *, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        """Check and read an event; only those about payments and their refunds matter here."""
        signatures.verify(body, headers.get(SIGNATURE_HEADER, ""), secrets=settings.PAYMENT_WEBHOOK_SECRETS)
        try:
            event = msgspec.json.decode(body, type=_Event)
            if event.type not in _HEARD:
                return None
            told = msgspec.json.decode(event.data, type=_Data).object
            at = datetime.fromtimestamp(event.created, tz=UTC)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, OSError) as error:
            raise NotGenuine(f"the body cannot be read ({error})") from error
        return WebhookEvent(
            event_id=event.id,
            kind=event.type,
            # A charge without a payment was made by hand, or by somebody else: it is told by its own id.
            transaction_id=told.payment_intent or told.id,
            key=(told.metadata or {}).get(OUR_KEY, ""),
            at=at,
        )

    def _step(self, transaction_id: str, call: Callable[[], object]) -> tuple[Payment | Unknown, str]:
        """How a payment stands after a call that changes it, and why the call was refused if it was.

        A step that was taken before is refused once Stripe has forgotten its key: so it counts how the payment stands.
        """
        try:
            return _standing(_intent(call())), ""
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            return self._look(transaction_id), _detail(error)
        except _TROUBLE as error:
            return _unknown(error), ""

    def _look(self, transaction_id: str) -> Payment | Unknown:
        """How a payment stands. One that is not there is none of this account's: a matter of configuration."""
        try:
            found = self._stripe.v1.payment_intents.retrieve(transaction_id, {"expand": ["latest_charge"]})
            return _standing(_intent(found))
        except _TROUBLE as error:
            return _unknown(error)

    def _with_key(self, key: str) -> Iterator[_Intent]:
        """Payments that carry this key."""
        since = _made_at(key) - CLOCKS_DIFFER
        until = since + LISTED
        yield from (intent for intent in self._list(since=since, until=until) if intent.metadata.get(OUR_KEY) == key)
        if until < timezone.now():
            found = self._stripe.v1.payment_intents.search(
                {"query": f"metadata['{OUR_KEY}']:'{key}'", "expand": ["data.latest_charge"]}
            )
            yield from map(_intent, found.auto_paging_iter())

    def _list(self, *, since: datetime, until: datetime | None = None) -> Iterator[_Intent]:
        created: dict[str, int] = {"gte": int(since.timestamp())}
        if until is not None:
            created["lte"] = int(until.timestamp())
        found = self._stripe.v1.payment_intents.list(
            {"created": cast("Any", created), "limit": PAGE, "expand": ["data.latest_charge"]}
        )
        return map(_intent, found.auto_paging_iter())


# -- What Stripe answers, as ours ------------------------------------------------------------------------
def _authorized(intent: _Intent) -> Answer:
    match intent.status:
        case "requires_capture" | "succeeded":
            return Succeeded(intent.id)
        case "requires_action" if intent.url:
            return RequiresAction(intent.id, intent.url)
        case "requires_payment_method" | "canceled":
            return Declined(_reason(intent.last_payment_error))
    return Unknown(f"Stripe: payment {intent.id} is {intent.status}")


def _standing(intent: _Intent) -> Payment | Unknown:
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
        reason=_reason(intent.last_payment_error) if standing is PaymentStatus.DECLINED else "",
        url=intent.url,
    )


def _refunded(refund: _Refund) -> Succeeded | Declined | Unknown:
    match refund.status:
        case "succeeded":
            return Succeeded(refund.id)
        case "failed" | "canceled":
            return Declined(f"Stripe: refund {refund.id} {refund.status}: {refund.failure_reason or 'no reason given'}")
    return Unknown(f"Stripe: refund {refund.id} is {refund.status}")


def _reason(error: _Error | None) -> str:
    """In words for the buyer."""
    codes = (error.decline_code, error.code) if error else ()
    return next((_REASONS[code] for code in codes if code in _REASONS), CARD_DECLINED)


def _refusal(error: stripe.InvalidRequestError) -> Declined | Unknown:
    """A card or an amount with which it never works is declined; with anything else our settings are wrong.

    In that case nothing was taken, and the same call works once they are right.
    """
    if error.code in _AMOUNT_CODES:
        return Declined(AMOUNT_UNUSABLE)
    if error.param == "payment_method" or "PaymentMethod" in (error.user_message or ""):
        return Declined(CARD_UNUSABLE)
    return _unknown(error)


def _unknown(error: Exception) -> Unknown:
    hint = (
        "; look at STRIPE_SECRET_KEY" if isinstance(error, stripe.AuthenticationError | stripe.PermissionError) else ""
    )
    return Unknown(f"{_detail(error)}{hint}")


def _detail(error: Exception) -> str:
    words = str(error)
    if isinstance(error, stripe.APIConnectionError):
        # Its own words are three lines of advice; what happened stands at the bottom.
        bottom: BaseException = error
        while (below := bottom.__cause__ or bottom.__context__) is not None:
            bottom = below
        words = f"{type(bottom).__name__}: {bottom}"
    return f"Stripe: {type(error).__name__}: {' '.join(words.split())}"[:DETAIL_LENGTH]


def _error_of(error: stripe.CardError) -> _Error:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    return msgspec.convert(body.get("error") or {}, _Error)


def _convert(found: object, type_: type[Any]) -> Any:
    """Read an answer; something else than the object that was asked for is a `ValidationError`."""
    return msgspec.convert(found.to_dict() if isinstance(found, stripe.StripeObject) else found, type_)


def _intent(found: object) -> _Intent:
    intent: _Intent = _convert(found, _Intent)
    return intent


def _as_refund(found: object) -> _Refund:
    refund: _Refund = _convert(found, _Refund)
    return refund


def _made_at(key: str) -> datetime:
    """When a key was made: the ids of charges are UUIDs of version 7, which begin with the time."""
    made = UUID(key)
    if made.version != 7:
        return timezone.now() - timedelta(days=1)
    return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)
