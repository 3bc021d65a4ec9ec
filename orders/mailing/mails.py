"""Order mails: recorded in the transaction that makes them due. `mail_sending.py` sends them, outside of any."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from django.db import connection

from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import bulk_rows
from orders.models import OrderMail

LATE_SECONDS = 300
"""A mail is taken up within seconds; after so long no notifications is running, or no mail server can be reached."""


@dataclass(frozen=True, kw_only=True)
class MailRequest:
    """Something that a buyer is to be told, and that may happen to an order more than once."""

    order_id: UUID
    kind: OrderMail.Kind
    number: int = 1
    """Which time it is: the same kind and number is the same mail."""
    amount_minor: int | None = None
    """The money that goes back, in minor units."""
    reason: str = ""


class _Owed(msgspec.Struct):
    request: MailRequest
    caused_by: UUID | None


# Of orders that there are; sorted like all that is inserted in batches.
_QUEUE = """
INSERT INTO orders_ordermail (order_id, kind, number, amount_minor, reason, attempts, caused_by)
SELECT o.id, r.kind, r.number, r.amount_minor, left(r.reason, 500), 0, owed.caused_by
FROM json_to_recordset(%s) AS owed(request json, caused_by uuid), json_to_record(owed.request)
    AS r(order_id uuid, kind text, number int, amount_minor bigint, reason text)
JOIN orders_order o ON o.id = r.order_id
ORDER BY o.id, r.kind, r.number
ON CONFLICT DO NOTHING
"""


def queue(*, order_ids: Sequence[UUID], kind: OrderMail.Kind) -> None:
    """These orders owe their buyers a mail of this kind; a second call changes nothing."""
    queue_each(requests=[MailRequest(order_id=order_id, kind=kind) for order_id in order_ids])


def queue_each(*, requests: Sequence[MailRequest]) -> None:
    """These orders owe their buyers these mails; a second call changes nothing."""
    owed = [_Owed(request, outbox.cause_of(str(request.order_id))) for request in requests]
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE, [bulk_rows.as_json(owed)])


def oldest_due_seconds() -> float:
    """For how long the mail has been due that has been due for longest; 0 if none is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(0, extract(epoch FROM now() - min(next_attempt_at))) FROM orders_ordermail "
            "WHERE sent_at IS NULL AND failed_at IS NULL"
        )
        return float(cursor.fetchone()[0] or 0)


def count_failed() -> int:
    """How many mails have failed and wait for a person."""
    return OrderMail.objects.filter(failed_at__isnull=False, closed_at=None).count()
