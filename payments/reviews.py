"""Money that needs a person: opened by code, closed by itself when it is settled, or by somebody with a note."""

from uuid import UUID

from django.utils import timezone

from payments.models import Charge, Review


def open_review(
    *, kind: Review.Kind, subject: str, detail: str, charge: Charge | None = None, order_id: UUID | None = None
) -> None:
    """Open a review; while one of this kind is open for this subject, nothing happens."""
    Review.objects.bulk_create(
        [Review(kind=kind, subject=subject[:120], detail=detail[:500], charge=charge, order_id=order_id)],
        ignore_conflicts=True,
    )


def settle(*, kind: Review.Kind, subject: str, note: str) -> None:
    """Close the review by itself, if there is one: the matter is settled."""
    Review.objects.filter(kind=kind, subject=subject, closed_at=None).update(closed_at=timezone.now(), note=note[:500])


def close(*, review_id: int, by: str, note: str) -> bool:
    """Somebody closes it; False if it was closed before."""
    closed = Review.objects.filter(pk=review_id, closed_at=None).update(
        closed_at=timezone.now(), closed_by=by, note=note[:500]
    )
    return closed == 1
