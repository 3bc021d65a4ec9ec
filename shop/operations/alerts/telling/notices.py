"""What people are to be told: made with the alert's change, kept until each channel has taken it.

Sending is at least once: a crash between a channel's answer and our note of it sends the notice again, with the same
id.

# Note [Which notice is due]
Of one alert a channel gets the notices in their sequence: while *raised* has not been taken, *cleared* waits. Alerts
wait for nothing of each other, nor do channels. Who claims a notice has it for `LEASE_SECONDS`, by the database's
clock; an attempt takes less.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from kafka_bridge.runtime import backoff
from shop.models import AlertNotice
from shop.operations.alerts.alert import Alert

LEASE_SECONDS = 120.0
ATTEMPTS = 200
"""About a day, with the pauses between."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 600.0

_DUE = """
SELECT id FROM shop_alertnotice n
WHERE channel = %(channel)s AND sent_at IS NULL AND failed_at IS NULL AND next_attempt_at <= now()
    AND NOT EXISTS (
        SELECT FROM shop_alertnotice earlier
        WHERE earlier.alert_id = n.alert_id AND earlier.channel = n.channel AND earlier.created_at < n.created_at
            AND earlier.sent_at IS NULL AND earlier.failed_at IS NULL
    )
ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


def make(alert: Alert, *, kind: str, channels: Iterable[str], at: datetime) -> list[AlertNotice]:
    """One for each channel; not saved."""
    return [
        AlertNotice(
            id=uuid.uuid4(),
            alert_id=alert.id,
            channel=channel,
            kind=kind,
            contents=as_json(alert) | {"url": f"{settings.SHOP_URL}{alert.url}"},
            created_at=at,
            next_attempt_at=timezone.now(),
        )
        for channel in channels
    ]


def as_json(alert: Alert) -> dict[str, Any]:
    """An alert as plain values; times in ISO 8601."""
    return {
        "name": alert.name,
        "subject": alert.subject,
        "severity": alert.severity,
        "message": alert.message,
        "advice": alert.advice,
        "since": _iso(alert.since),
        "raised_at": _iso(alert.raised_at),
        "cleared_at": _iso(alert.cleared_at),
        "url": alert.url,
    }


def claim(channel: str) -> AlertNotice | None:
    """Take one of a channel's notices that are due; see Note [Which notice is due].

    Raises:
        DatabaseError: PostgreSQL cannot be used.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(_DUE, {"channel": channel})
            row = cursor.fetchone()
        if row is None:
            return None
        AlertNotice.objects.filter(pk=row[0]).update(
            next_attempt_at=Now() + timedelta(seconds=LEASE_SECONDS), attempts=F("attempts") + 1
        )
    return AlertNotice.objects.get(pk=row[0])


def first_due(found: Sequence[AlertNotice], channel: str) -> AlertNotice | None:
    """Of these, in the sequence in which they were made, the one to send now; see Note [Which notice is due]."""
    waiting = set[uuid.UUID]()
    now = timezone.now()
    for notice in found:
        if notice.channel != channel or notice.sent_at or notice.failed_at:
            continue
        if notice.next_attempt_at <= now and notice.alert_id not in waiting:
            return notice
        waiting.add(notice.alert_id)
    return None


def channels_with_due() -> list[str]:
    """Channels for which something may be due.

    Raises:
        DatabaseError: PostgreSQL cannot be used.
    """
    due = AlertNotice.objects.filter(sent_at=None, failed_at=None, next_attempt_at__lte=Now())
    return list(due.order_by().values_list("channel", flat=True).distinct())


def note_sent(notice: AlertNotice) -> None:
    """The channel has taken it; not saved."""
    notice.sent_at, notice.last_error = timezone.now(), ""


def note_failed(notice: AlertNotice, reason: str) -> None:
    """The channel has not taken it; not saved."""
    now = timezone.now()
    pause = backoff.exponential(
        notice.attempts, first_seconds=_FIRST_PAUSE_SECONDS, longest_seconds=_LONGEST_PAUSE_SECONDS
    )
    notice.last_error, notice.next_attempt_at = reason[:300], now + timedelta(seconds=pause)
    if notice.attempts >= ATTEMPTS:
        notice.failed_at = now


def save(notice: AlertNotice) -> None:
    """Write what came of an attempt.

    Raises:
        DatabaseError: PostgreSQL cannot be used.
    """
    notice.save(update_fields=["sent_at", "failed_at", "last_error", "next_attempt_at"])


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
