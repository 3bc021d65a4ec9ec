"""Money that is kept although its order does not cost so much: found, put before a person, and refunded.

The audit's rules say that it is so; here is which charges are meant, and by how much. A review is opened for each, its
page leads to the charge, and there the excess can be refunded. The review closes by itself once nothing is in excess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

import money
from kafka_bridge.runtime.postgresql import bulk_rows
from payments import reviews
from payments.models import Charge, Review
from shop.audit.money import BACK_SQL

MOST = 200
"""How many reviews one audit opens at most; the next one opens more."""
_EXCESS = f"""
SELECT id, order_id, currency, excess, what FROM (
    SELECT c.id, c.order_id, c.currency, CASE
            WHEN o.id IS NULL THEN 'an order that does not exist'
            ELSE concat('order ', o.reference, ', which is ', lower(o.status)) END AS what,
        c.amount_minor - c.refunded_minor - CASE
            WHEN o.id IS NULL OR o.status = 'CANCELLED' THEN 0
            ELSE o.total_minor - coalesce((
                SELECT sum({BACK_SQL}) + CASE
                    WHEN sum(returned) > 0 AND bool_and(cancelled + returned = quantity) THEN o.shipping_minor
                    ELSE 0 END
                FROM orders_orderline l WHERE l.order_id = o.id), 0) END AS excess,
        greatest(
            c.settled_at, o.cancelled_at, (SELECT max(at) FROM orders_trailentry t WHERE t.order_id = o.id)
        ) AS last
    FROM payments_charge c LEFT JOIN orders_order o ON o.id = c.order_id
    WHERE c.state = 'succeeded' AND c.amount_minor > c.refunded_minor AND o.status IS DISTINCT FROM 'PENDING'
        AND {{which}}
) AS found
WHERE excess > 0 AND last <= now() - %(grace)s * interval '1 second' ORDER BY id LIMIT %(most)s
"""  # noqa: S608 - made of column names


@dataclass(frozen=True, kw_only=True)
class Excess:
    """What is kept of a charge beyond what its order costs."""

    charge_id: UUID
    order_id: UUID
    currency: str
    amount_minor: int
    """What is in excess, in minor units."""
    why: str
    """For which order, in words."""

    @property
    def detail(self) -> str:
        """A sentence for the review."""
        return f"{money.format_plain(self.amount_minor, self.currency)} too much is kept for {self.why}"


def find(*, grace_seconds: float) -> list[Excess]:
    """Charges of which too much is kept, up to `MOST`, and to whose orders nothing has happened for so long."""
    return _read("true", grace=grace_seconds)


def of_charges(charge_ids: Sequence[UUID]) -> dict[UUID, Excess]:
    """Those of these charges of which too much is kept now."""
    found = _read("c.id = ANY(%(ids)s::uuid[])", grace=0, ids=bulk_rows.uuids(charge_ids))
    return {excess.charge_id: excess for excess in found}


def open_reviews(*, grace_seconds: float) -> None:
    """Put each before a person."""
    found = find(grace_seconds=grace_seconds)
    with transaction.atomic(durable=True):
        charges = Charge.objects.in_bulk([excess.charge_id for excess in found])
        for excess in found:
            reviews.open_review(
                kind=Review.Kind.KEPT,
                subject=str(excess.charge_id),
                detail=excess.detail,
                charge=charges[excess.charge_id],
                order_id=excess.order_id,
            )


def settle_reviews() -> None:
    """Close those whose charge has no excess any more; a refund that is requested counts."""
    open_ones = Review.objects.filter(closed_at=None, kind=Review.Kind.KEPT, charge__isnull=False)
    subjects = {charge_id: subject for charge_id, subject in open_ones.values_list("charge", "subject") if charge_id}
    if not subjects:
        return
    still = of_charges(list(subjects))
    with transaction.atomic(durable=True):
        for charge_id, subject in subjects.items():
            if charge_id not in still:
                reviews.settle(kind=Review.Kind.KEPT, subject=subject, note="no more is kept than the order costs")


def _read(which: str, *, grace: float, **values: Any) -> list[Excess]:
    with connection.cursor() as cursor:
        cursor.execute(_EXCESS.format(which=which), {"grace": grace, "most": MOST, **values})
        return [
            Excess(charge_id=pk, order_id=order_id, currency=currency, amount_minor=int(excess), why=why)
            for pk, order_id, currency, excess, why in cursor.fetchall()
        ]
