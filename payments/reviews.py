"""Money that needs a person: opened by code, closed by itself once it is settled, or by staff with a note."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models.functions import Now

import money
from events import catalogue
from kafka_bridge.runtime.postgresql import transactions
from payments.models import Charge, Review


class NotOpen(LookupError):
    """There is no such review, or it was closed before; nothing was changed."""


def open_review(
    *, kind: str, subject: str, detail: str, charge: Charge | None = None, order_id: UUID | None = None
) -> None:
    """Put a matter on the list; one that is on it already stays as it is.

    What a person has closed stays closed as long as nothing new is to be said of it: the same detail opens nothing.
    """
    subject, detail = subject[:120], detail.replace("\0", "")[:500]
    settled = Review.objects.filter(kind=kind, subject=subject, detail=detail).exclude(closed_by="")
    if settled.exists():
        return
    if order_id is None and charge is not None:
        order_id = charge.order_id
    Review.objects.bulk_create(
        [Review(kind=kind, subject=subject, detail=detail, charge=charge, order_id=order_id)], ignore_conflicts=True
    )


def settle(*, kind: str, subject: str, note: str) -> bool:
    """Close the matter by itself, with how it was settled; whether it was open."""
    found = Review.objects.filter(kind=kind, subject=subject, closed_at=None)
    return found.update(closed_at=Now(), note=note[:500]) > 0


def close(*, review_id: int, by: str, note: str) -> None:
    """A person has settled the matter.

    Raises:
        NotOpen: see there.
    """
    found = Review.objects.filter(pk=review_id, closed_at=None)
    if not found.update(closed_at=Now(), closed_by=by[:150], note=note[:500]):
        raise NotOpen(f"review {review_id} is not open")


def review_refused(*, refused: Sequence[catalogue.OrderPaymentRefused]) -> None:
    """Open a review for each payment event that orders did not believe."""
    transactions.require("payments.reviews.review_refused")
    charges = {c.order_id: c for c in Charge.objects.filter(order_id__in=[event.order_id for event in refused])}
    for event in refused:
        open_review(
            kind=Review.Kind.EVENT_REFUSED,
            subject=str(event.charge_id),
            detail=f"An event claimed that {_stated_sum(event)} were paid: {event.why}",
            charge=charges.get(event.order_id),
            order_id=event.order_id,
        )


def _stated_sum(event: catalogue.OrderPaymentRefused) -> str:
    return money.format_plain(event.amount_minor, event.currency)
