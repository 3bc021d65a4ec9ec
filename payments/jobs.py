"""What the timekeeper does for payments."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

import money
from kafka_bridge.runtime import housekeeping, scheduler
from payments import reviews
from payments.models import Charge, Refund, Review

log = logging.getLogger(__name__)
MOST_AT_ONCE = 500
RESENT_DAYS = 30
"""So long after an event a gateway may send its webhook once more (Stripe: https://docs.stripe.com/webhooks#retries)."""
# A copy with its old signature is refused after minutes; one that is has its event's id, and is known by it. And while
# payment.notified can be replayed, it should find the webhook that it speaks of.
housekeeping.register(
    housekeeping.RetentionPolicy(
        table="payments_gatewaynotice",
        setting="KEEP_WEBHOOKS_DAYS",
        days=lambda: settings.KEEP_WEBHOOKS_DAYS,
        old="""
        SELECT ctid FROM (
            SELECT ctid, received_at FROM payments_gatewaynotice ORDER BY id LIMIT %(limit)s
        ) AS oldest WHERE received_at < %(before)s
        """,
        least_days=lambda: max(RESENT_DAYS, housekeeping.message_days()),
        because="the gateway may send a webhook again, which is known by its event's id, and the message that speaks "
        "of it may come again",
    )
)


@scheduler.every(seconds=15)
def review_unknown() -> None:
    """An outcome that nobody has known for long is put before a person; the answer closes it by itself."""
    with transaction.atomic(durable=True):
        for charge in _unknown_charges():
            reviews.open_review(
                kind=Review.Kind.UNKNOWN,
                subject=str(charge.pk),
                detail=f"{money.format_plain(charge.amount_minor, charge.currency)}, "
                f"{charge.get_state_display().lower()}: no answer of the gateway since "
                f"{charge.unknown_since:%Y-%m-%d %H:%M:%S} UTC.",
                charge=charge,
            )
        for refund in _unknown_refunds():
            reviews.open_review(
                kind=Review.Kind.UNKNOWN,
                subject=str(refund.pk),
                detail=f"The refund of {money.format_plain(refund.amount_minor, refund.charge.currency)} asked for at "
                f"{refund.created_at:%Y-%m-%d %H:%M:%S} UTC has no answer of the gateway yet.",
                charge=refund.charge,
            )


def _unknown_charges() -> list[Charge]:
    """Locked, so that no answer comes between the look and the review; those that are locked are being answered."""
    charges = Charge.objects.filter(state__in=Charge.OPEN, unknown_since__lt=Now() - _patience())
    return list(charges.order_by("unknown_since").select_for_update(skip_locked=True)[:MOST_AT_ONCE])


def _unknown_refunds() -> list[Refund]:
    """Refused ones are on the list as such."""
    refunds = Refund.objects.filter(state=Refund.State.REQUESTED, attempts__gt=0, created_at__lt=Now() - _patience())
    refused = Review.objects.filter(kind=Review.Kind.REFUND_REFUSED, charge__isnull=False).values("subject")
    known = {str(row["subject"]) for row in refused.filter(charge__refunds__in=refunds)}
    found = refunds.select_related("charge").order_by("created_at")
    locked = found.select_for_update(of=("charge",), skip_locked=True)[:MOST_AT_ONCE]
    return [refund for refund in locked if str(refund.pk) not in known]


def _patience() -> timedelta:
    return timedelta(seconds=settings.PAYMENT_UNKNOWN_SECONDS)
