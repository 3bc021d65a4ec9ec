"""The shop's periodic jobs; the timekeeper process runs them."""

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from kafka_bridge import jobs as bridge_jobs
from kafka_bridge.runtime import housekeeping, scheduler
from shop import audit
from shop.accounts import mails
from shop.books.search import facets, in_stock
from shop.books.search import index as search_index
from shop.models import AuditRun
from shop.operations.alerts import watching
from shop.operations.overview import collector, samples
from shop.waitlist import waitlist_jobs as waitlist_jobs

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
housekeeping.register(
    housekeeping.RetentionPolicy(
        table="shop_formpress",
        setting="KEEP_FORMS_DAYS",
        days=lambda: settings.KEEP_FORMS_DAYS,
        old="SELECT ctid FROM shop_formpress WHERE at < %(before)s ORDER BY at LIMIT %(limit)s",
    )
)
for _table in ("shop_bookhour", "shop_searchhour"):
    housekeeping.register(
        housekeeping.RetentionPolicy(
            table=_table,
            setting="KEEP_ACTIVITY_DAYS",
            days=lambda: settings.KEEP_ACTIVITY_DAYS,
            old=f"SELECT ctid FROM {_table} WHERE hour < %(before)s ORDER BY hour LIMIT %(limit)s",  # noqa: S608 - ours
        )
    )
# Of alerts that are over; their notices go first.
for _table, _is_old in {
    "shop_alertnotice": "alert_id IN (SELECT id FROM shop_alertrecord WHERE cleared_at < %(before)s)",
    "shop_alertrecord": "cleared_at < %(before)s",
    "shop_alertsilence": "until < %(before)s",
}.items():
    housekeeping.register(
        housekeeping.RetentionPolicy(
            table=_table,
            setting="KEEP_ALERTS_DAYS",
            days=lambda: settings.KEEP_ALERTS_DAYS,
            old=f"SELECT ctid FROM {_table} WHERE {_is_old} LIMIT %(limit)s",  # noqa: S608 - ours
        )
    )
# Two weeks after the last change, unless the session says otherwise; then it lets nobody in any more.
housekeeping.register(
    housekeeping.RetentionPolicy(
        table="django_session",
        setting="KEEP_SESSIONS_DAYS",
        days=lambda: settings.KEEP_SESSIONS_DAYS,
        old="SELECT ctid FROM django_session WHERE expire_date < %(before)s ORDER BY expire_date LIMIT %(limit)s",
    )
)
housekeeping.register(
    housekeeping.RetentionPolicy(
        table="shop_overviewsample",
        setting="KEEP_OVERVIEW_DAYS",
        days=lambda: settings.KEEP_OVERVIEW_DAYS,
        old=samples.OLD,
    )
)


@scheduler.every(seconds=1, after_seconds=1, background=True)
def send_account_mails() -> None:
    """Send the mails about accounts that pages have asked for."""
    mails.send_due()


bridge_jobs.take_lag_from(collector.recent_lag)


@scheduler.every(seconds=samples.SECONDS, after_seconds=samples.SECONDS, background=True)
def write_overview_sample() -> None:
    """Keep what is seen of the shop now, for charts; this process begins to look when it first leads."""
    collector.start()
    now = collector.overview()
    if now.database.value is not None and not now.database.error:
        samples.write(now)


@scheduler.every(seconds=60, after_seconds=30, background=True)
def thin_overview_samples() -> None:
    """Make coarser samples of those of the last minutes."""
    samples.thin()


@scheduler.every(seconds=60, after_seconds=15, background=True)
def read_changed_books() -> None:
    """Let books be found by what they say now that were changed by who did not say so."""
    while search_index.put_due() == search_index.DUE_AT_ONCE:
        pass


@scheduler.every(seconds=5, background=True)
def follow_stock() -> None:
    """Let books be counted as in stock, or as sold out, whose pools have turned."""
    while in_stock.follow():
        pass
    facets.compact()


def audit_shop() -> None:
    """Audit the shop, and log what does not hold."""
    try:
        report = audit.run(
            grace_seconds=settings.AUDIT_GRACE_SECONDS,
            by=BY,
            limit_seconds=LIMIT_SECONDS,
            keep_reviews=True,
            incremental_only=True,
        )
        _prune()
    except audit.TooSlow:
        log.warning("the audit was aborted: PostgreSQL took longer than %g s", LIMIT_SECONDS)
        return
    for finding in report.broken:
        log.error("audit: %s: %d wrong, such as %s", finding.name, finding.count, "; ".join(finding.examples))


def _prune() -> None:
    """Delete old results: clean ones after a week, the others after a quarter of a year."""
    now = timezone.now()
    AuditRun.objects.filter(started_at__lt=now - KEPT, is_clean=True).delete()
    AuditRun.objects.filter(started_at__lt=now - UNCLEAN_KEPT).delete()


# After hours of downtime the jobs need a moment to catch up; an audit before that would report false alarms.
if settings.AUDIT_SECONDS > 0:
    scheduler.every(seconds=settings.AUDIT_SECONDS, after_seconds=settings.AUDIT_SECONDS, background=True)(audit_shop)


@scheduler.every(seconds=watching.EVERY_SECONDS, after_seconds=watching.FIRST_AFTER_SECONDS, background=True)
def evaluate_alerts() -> None:
    """Hold the rules against what is seen, and have people told."""
    watching.of_timekeeper().lead()
