"""Money that needs a person: opened by code, closed by itself once it is settled, or by somebody with a note."""

from uuid import UUID

from django.db.models.functions import Now

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
