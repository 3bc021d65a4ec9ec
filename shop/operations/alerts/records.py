"""Alerts in PostgreSQL: those that are raised, and those that were.

# Note [Raised once]
Two processes may evaluate at once for a moment, when one takes over from the other. The database lets one row of an
alert be raised at a time, and a row is changed only as it was read; who comes second changes nothing, and tells nobody.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from shop.models import AlertNotice, AlertRecord, AlertSilence
from shop.operations.alerts.alert import Alert


def raised() -> list[Alert]:
    """Those that hold now, without their silences."""
    return [as_alert(record) for record in AlertRecord.objects.filter(cleared_at=None)]


def latest(limit: int) -> list[Alert]:
    """The last ones, those that hold and those that are over, the newest first."""
    found = [as_alert(record) for record in AlertRecord.objects.order_by("-raised_at")[:limit]]
    return with_silences(found, silences(), timezone.now())


def silences() -> list[AlertSilence]:
    """Those that hold, those that hold for longest first."""
    return list(AlertSilence.objects.filter(until__gt=timezone.now()).order_by("-until"))


def with_silences(alerts: Iterable[Alert], found: Sequence[AlertSilence], now: datetime) -> list[Alert]:
    """These alerts, with the silence that holds for each longest."""
    return [_with_silence(alert, found, now) for alert in alerts]


def write(changed: Sequence[tuple[Alert | None, Alert]], notices: Sequence[AlertNotice]) -> None:
    """Write what has changed, each alert as it was read and as it is, and what people are to be told of it; all or
    nothing. See Note [Raised once].
    """
    with transaction.atomic():
        late = {after.id for before, after in changed if not _write(before, after)}
        AlertNotice.objects.bulk_create(
            [notice for notice in notices if notice.alert_id not in late], ignore_conflicts=True
        )


def as_alert(record: AlertRecord) -> Alert:
    """A row as an alert, without its silence."""
    return Alert(
        id=record.pk,
        name=record.name,
        subject=record.subject,
        severity="critical" if record.severity == "critical" else "warning",
        message=record.message,
        advice=record.advice,
        since=record.since,
        raised_at=record.raised_at,
        cleared_at=record.cleared_at,
        told_at=record.told_at,
        url=record.url,
    )


def _write(before: Alert | None, after: Alert) -> bool:
    """Whether it was as it was read. Where a commit was not answered, it may be as it is to be already."""
    if before is None:
        AlertRecord.objects.bulk_create([_as_record(after)], ignore_conflicts=True)
    told_at = {before.told_at if before else after.told_at, after.told_at}
    as_read = Q(told_at__in=told_at - {None}) | (Q(told_at=None) if None in told_at else Q())
    return bool(
        AlertRecord.objects.filter(as_read, pk=after.id)
        .filter(Q(cleared_at=None) | Q(cleared_at=after.cleared_at))
        .update(severity=after.severity, message=after.message, cleared_at=after.cleared_at, told_at=after.told_at)
    )


def _as_record(alert: Alert) -> AlertRecord:
    return AlertRecord(
        id=alert.id,
        name=alert.name,
        subject=alert.subject,
        severity=alert.severity,
        message=alert.message,
        advice=alert.advice,
        url=alert.url,
        since=alert.since,
        raised_at=alert.raised_at,
        cleared_at=alert.cleared_at,
        told_at=alert.told_at,
    )


def _with_silence(alert: Alert, found: Sequence[AlertSilence], now: datetime) -> Alert:
    for silence in found:
        if silence.until > now and silence.name == alert.name and silence.subject in ("", alert.subject):
            return alert.silenced(until=silence.until, because=f"{silence.reason} ({silence.who})")
    return alert.silenced(until=None, because="")
