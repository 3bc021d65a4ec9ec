"""Stripe, by its official SDK: a PaymentIntent for each charge, authorized and captured in two calls.

Amounts are in minor units there too. Stripe keeps an idempotency key for a day or longer; our own key stands in the
payment's (and the refund's) metadata besides, where `find` looks for it. https://docs.stripe.com/api/payment_intents
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import stripe
from django.conf import settings
from django.utils import timezone

from payments.gateways import (
    Answer,
    Declined,
    Payment,
    PaymentStatus,
    Succeeded,
    Unknown,
    WebhookEvent,
    stripe_answers,
    stripe_webhooks,
)

PAGE = 100
# Newer payments than this are looked for in the list, which is always complete; older ones in the search's index,
# which can be some minutes behind.
LISTED = timedelta(minutes=15)
CLOCKS_DIFFER = timedelta(minutes=1)


class StripeGateway:
    """Stripe with the keys from the settings. One for a process; its methods may be called by many threads."""

    def __init__(self) -> None:
        # Both together are what a call may take; reading is what takes long.
        timeout = settings.PAYMENT_TIMEOUT_SECONDS
        self._stripe = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            base_addresses={"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else {},
            # The caller tries again, with the same key and in its own time.
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(timeout * 0.3, timeout * 0.7)),
        )

    def authorize(self, *, key: str, amount_minor: int, currency: str, payment_method: str, return_url: str) -> Answer:
        """Make and confirm a payment that is captured later."""
        try:
            intent = stripe_answers.intent_of(
                self._stripe.v1.payment_intents.create(
                    {
                        "amount": amount_minor,
                        "currency": currency.lower(),
                        "payment_method": payment_method,
                        "allowed_payment_method_types": ["card"],
                        "capture_method": "manual",
                        "confirm": True,
                        "return_url": return_url,
                        "metadata": {stripe_answers.OUR_KEY: key},
                    },
                    {"idempotency_key": key},
                )
            )
        except stripe.CardError as error:
            return Declined(stripe_answers.reason_of(stripe_answers.error_of(error)))
        except stripe.InvalidRequestError as error:
            return stripe_answers.refusal(error)
        except stripe_answers.TROUBLE as error:
            return stripe_answers.unknown(error)
        return stripe_answers.authorized(intent)

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
                {
                    "payment_intent": transaction_id,
                    "amount": amount_minor,
                    "metadata": {stripe_answers.OUR_REFUND_KEY: key},
                },
                {"idempotency_key": key},
            )
            return stripe_answers.refunded(stripe_answers.refund_of(refund))
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            refused = Declined(stripe_answers.detail_of(error))
        except stripe_answers.TROUBLE as error:
            return stripe_answers.unknown(error)
        return self.find_refund(key=key, transaction_id=transaction_id) or refused

    def find(self, *, key: str, transaction_id: str = "") -> Payment | Unknown | None:
        """By Stripe's id if there is one, else by our key in the metadata."""
        if transaction_id:
            return self._look(transaction_id)
        try:
            for intent in self._with_key(key):
                return stripe_answers.payment_of(intent)
        except stripe_answers.TROUBLE as error:
            return stripe_answers.unknown(error)
        return None

    def find_refund(self, *, key: str, transaction_id: str) -> Succeeded | Declined | Unknown | None:
        """By our key in the metadata of the payment's refunds."""
        try:
            found = self._stripe.v1.refunds.list({"payment_intent": transaction_id, "limit": PAGE})
            for refund in map(stripe_answers.refund_of, found.auto_paging_iter()):
                if (refund.metadata or {}).get(stripe_answers.OUR_REFUND_KEY) == key:
                    return stripe_answers.refunded(refund)
        except stripe_answers.TROUBLE as error:
            return stripe_answers.unknown(error)
        return None

    def statement(self, *, since: datetime) -> Iterator[Payment]:
        """Every payment since then whose card was not only being entered; newest first, a page at a time."""
        try:
            for intent in self._list(since=since):
                payment = stripe_answers.payment_of(intent)
                if isinstance(payment, Payment):
                    yield payment
        except stripe_answers.TROUBLE as error:
            raise OSError(stripe_answers.detail_of(error)) from error

    def read_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        """Check and read an event; only those about payments and their refunds matter here."""
        return stripe_webhooks.read_webhook(body=body, headers=headers, secrets=settings.PAYMENT_WEBHOOK_SECRETS)

    def _step(self, transaction_id: str, call: Callable[[], object]) -> tuple[Payment | Unknown, str]:
        """How a payment stands after a call that changes it, and why the call was refused if it was.

        A step that was taken before is refused once Stripe has forgotten its key: so it counts how the payment stands.
        """
        try:
            return stripe_answers.payment_of(stripe_answers.intent_of(call())), ""
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            return self._look(transaction_id), stripe_answers.detail_of(error)
        except stripe_answers.TROUBLE as error:
            return stripe_answers.unknown(error), ""

    def _look(self, transaction_id: str) -> Payment | Unknown:
        """How a payment stands. One that is not there is none of this account's: a matter of configuration."""
        try:
            found = self._stripe.v1.payment_intents.retrieve(transaction_id, {"expand": ["latest_charge"]})
            return stripe_answers.payment_of(stripe_answers.intent_of(found))
        except stripe_answers.TROUBLE as error:
            return stripe_answers.unknown(error)

    def _with_key(self, key: str) -> Iterator[stripe_answers.Intent]:
        """Payments that carry this key."""
        since = _made_at(key) - CLOCKS_DIFFER
        until = since + LISTED
        yield from (
            intent
            for intent in self._list(since=since, until=until)
            if intent.metadata.get(stripe_answers.OUR_KEY) == key
        )
        if until < timezone.now():
            found = self._stripe.v1.payment_intents.search(
                {"query": f"metadata['{stripe_answers.OUR_KEY}']:'{key}'", "expand": ["data.latest_charge"]}
            )
            yield from map(stripe_answers.intent_of, found.auto_paging_iter())

    def _list(self, *, since: datetime, until: datetime | None = None) -> Iterator[stripe_answers.Intent]:
        created: dict[str, int] = {"gte": int(since.timestamp())}
        if until is not None:
            created["lte"] = int(until.timestamp())
        found = self._stripe.v1.payment_intents.list(
            {"created": cast("Any", created), "limit": PAGE, "expand": ["data.latest_charge"]}
        )
        return map(stripe_answers.intent_of, found.auto_paging_iter())


def _made_at(key: str) -> datetime:
    """When a key was made: the ids of charges are UUIDs of version 7, which begin with the time."""
    made = UUID(key)
    if made.version != 7:
        return timezone.now() - timedelta(days=1)
    return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)
