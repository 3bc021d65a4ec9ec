"""Stripe's webhooks: which of them matter here, and what they are about."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from payments.gateways import NotGenuine, WebhookEvent, signatures
from payments.gateways.stripe_answers import OUR_KEY

SIGNATURE_HEADER = "Stripe-Signature"
# What a payment or refund can become without our asking, or what an answer that got lost would have said.
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


class _WebhookObject(msgspec.Struct):
    """The object that a webhook is about: a payment, or a charge or refund of one."""

    id: str
    object: str = ""
    payment_intent: str | None = None
    metadata: dict[str, str] | None = None


class _WebhookData(msgspec.Struct):
    object: _WebhookObject


class _StripeEvent(msgspec.Struct):
    id: str
    type: str
    created: int
    data: msgspec.Raw


def read_webhook(*, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> WebhookEvent | None:
    """Check and read an event; None for one that is not about a payment or its refunds.

    Raises:
        NotGenuine: the signature is missing, wrong or too old, or the body cannot be read.
    """
    signatures.verify(body, headers.get(SIGNATURE_HEADER, ""), secrets=secrets)
    try:
        event = msgspec.json.decode(body, type=_StripeEvent)
        if event.type not in _HEARD:
            return None
        subject = msgspec.json.decode(event.data, type=_WebhookData).object
        at = datetime.fromtimestamp(event.created, tz=UTC)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise NotGenuine(f"the body cannot be read ({error})") from error
    return WebhookEvent(
        event_id=event.id,
        kind=event.type,
        # A charge without a payment was made by hand, or is not ours: it goes by its own id.
        transaction_id=subject.payment_intent or subject.id,
        key=(subject.metadata or {}).get(OUR_KEY, ""),
        at=at,
    )
