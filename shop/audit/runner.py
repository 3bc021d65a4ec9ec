"""Runs an audit: everything in PostgreSQL is read in one snapshot, while the shop goes on working."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from psycopg import errors

from shop.audit import external_checks, gateway, incremental, invariants, kept_money, money, orders, stock
from shop.audit.invariants import Invariant, Rule
from shop.audit.report import AuditReport, Finding
from shop.models import AuditRun

SNAPSHOT: tuple[Invariant, ...] = (*stock.INVARIANTS, *orders.INVARIANTS)
RULES: dict[str, Rule] = {rule.name: rule for rule in (*SNAPSHOT, *external_checks.RULES, gateway.BOOKS)}
"""All rules that an audit checks, by name."""


class TooSlow(Exception):
    """PostgreSQL did not answer within the time limit. Raise the limit, or find out what keeps it busy."""


def run(
    *,
    grace_seconds: float,
    by: str,
    record: bool = True,
    limit_seconds: float | None = None,
    keep_reviews: bool = False,
    incremental_only: bool = False,
) -> AuditReport:
    """Check every invariant, without blocking anyone. Must not be called inside a transaction.

    Args:
        grace_seconds: how long an event may be under way (see Note [What is under way is no violation]); 0 for a shop
            at rest, where everything must be exact.
        by: who asked for the audit.
        record: whether to store the result, as an `AuditRun`.
        limit_seconds: how long PostgreSQL may take in total.
        keep_reviews: whether to open a review for each difference from the gateway's books, and close those that are
            gone.
        incremental_only: look at what moved and at a piece of the rest, in a time that does not grow with the shop.

    Raises:
        TooSlow: it took longer.
        django.db.DatabaseError: PostgreSQL cannot be asked.
    """
    started_at, started = timezone.now(), time.monotonic()
    # Before the snapshot: neither Redis nor the gateway can be read as of its moment.
    counters = external_checks.counter_findings(grace_seconds=grace_seconds)
    compared = gateway.compare(grace_seconds=grace_seconds)
    if keep_reviews:
        gateway.keep_reviews(compared)
    with snapshot():
        if incremental_only:
            audited = incremental.check(SNAPSHOT, grace_seconds=grace_seconds, limit_seconds=limit_seconds)
            read = audited.findings
        else:
            read = tuple(invariants.check(SNAPSHOT, grace_seconds=grace_seconds, limit_seconds=limit_seconds))
        messages = (external_checks.dead_letter_finding(), external_checks.refused_finding())
    if incremental_only:
        audited.progress.save()
    if keep_reviews:
        _keep_money_reviews(read, grace_seconds)
    findings = (*read, gateway.finding(compared), *counters, *messages)
    report = AuditReport(findings, time.monotonic() - started)
    if record:
        _record(report, started_at=started_at, by=by)
    return report


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment of the database: later commits are invisible, and no row is locked.

    Raises:
        TooSlow: see there.
    """
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Compiling the statements would take longer than running them.
            cursor.execute("SET LOCAL jit = off")
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, errors.QueryCanceled):
            raise TooSlow("PostgreSQL did not answer the audit within its time") from error
        raise


def _keep_money_reviews(findings: Iterable[Finding], grace_seconds: float) -> None:
    """Open reviews for money that is kept in excess, if there is any, and close those that are settled."""
    kept_money.settle_reviews()
    if any(finding.count for finding in findings if finding.name in (money.KEPT.name, money.RETURNED.name)):
        kept_money.open_reviews(grace_seconds=grace_seconds)


def _record(report: AuditReport, *, started_at: datetime, by: str) -> None:
    AuditRun.objects.create(
        started_at=started_at,
        seconds=report.seconds,
        is_clean=report.is_clean,
        findings=[finding.as_json() for finding in report.findings],
        by=by[:80],
    )
