"""What the timekeeper does for the shop as a whole."""

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from kafka_bridge.runtime import housekeeping, scheduler
from shop import audit
from shop.models import AuditRun

log = logging.getLogger(__name__)
BY = "timekeeper"
KEPT, UNCLEAN_KEPT = timedelta(days=7), timedelta(days=90)
LIMIT_SECONDS = 10.0
AUDIT_LOG_LEAST_DAYS = 365
"""The database itself refuses to delete younger entries."""
housekeeping.register(
    housekeeping.RetentionPolicy(
        table="shop_auditentry",
        setting="KEEP_AUDIT_LOG_DAYS",
        days=lambda: settings.KEEP_AUDIT_LOG_DAYS,
        old="SELECT ctid FROM shop_auditentry WHERE at < %(before)s ORDER BY at LIMIT %(limit)s",
        least_days=lambda: AUDIT_LOG_LEAST_DAYS,
        because="the database refuses to delete younger entries",
    )
)


def audit_shop() -> None:
    """Audit the shop, and log what does not hold."""
    try:
        report = audit.run(
            grace_seconds=settings.AUDIT_GRACE_SECONDS, by=BY, limit_seconds=LIMIT_SECONDS, keep_reviews=True
        )
        _prune()
    except audit.TooSlow:
        log.warning("the audit was given up: PostgreSQL took longer than %g s", LIMIT_SECONDS)
        return
    for finding in report.broken:
        log.error("audit: %s: %d wrong, such as %s", finding.name, finding.count, "; ".join(finding.examples))


def _prune() -> None:
    """Forget what nobody looks up any more: clean results after a week, the others after a quarter of a year."""
    now = timezone.now()
    AuditRun.objects.filter(started_at__lt=now - KEPT, is_clean=True).delete()
    AuditRun.objects.filter(started_at__lt=now - UNCLEAN_KEPT).delete()


# What a shop finds that was off for hours is put right within the first moments; an audit before that would cry wolf.
if settings.AUDIT_SECONDS > 0:
    scheduler.every(seconds=settings.AUDIT_SECONDS, after_seconds=settings.AUDIT_SECONDS, background=True)(audit_shop)
