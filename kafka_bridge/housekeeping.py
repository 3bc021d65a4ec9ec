"""Old rows of the inbox, the outbox and the lag samples are deleted, in batches too small to be in anybody's way.

# Note [How long the inbox remembers]
The inbox is what makes a second delivery harmless. It must remember an event for as long as its message can still come:
while its topic keeps it, and after that while it lies among the dead letters and may be sent again. A system check
holds the settings to that. And since events that no group seems to have had are stated again for a Kafka that lost its
data, the outbox must not remember events that the inbox has forgotten.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.checks import CheckMessage, Error
from django.db import connection, transaction
from django.utils import timezone

from kafka_bridge import catalogue, clients, registry, topics

BATCH = 2000
_DAY_SECONDS = 24 * 3600
Names = dict[str, datetime | UUID | str | int]
# Between two batches, so that a shop at work has the disk most of the time.
_PAUSE_SECONDS = 0.05
# What is left then goes the next time.
LIMIT_SECONDS = 20.0


@dataclass(frozen=True)
class Kept:
    """A table, for how long its rows are kept, and how a batch of older ones is chosen."""

    name: str
    days: Callable[[], float]
    oldest: str
    """Statement that selects the `ctid` of up to %(limit)s rows older than %(before)s (or %(before_id)s)."""
    each_group: bool = False
    """Whether the statement is about one %(group)s at a time."""


# Of the event ids the first 48 bits are the time, and both tables' indexes begin where their oldest rows are.
_KEPT = (
    Kept(
        "kafka_bridge_outboxrow",
        lambda: clients.conf().outbox_days,
        """
        SELECT ctid FROM (
            SELECT ctid, published_at FROM kafka_bridge_outboxrow ORDER BY id LIMIT %(limit)s
        ) AS oldest WHERE published_at < %(before)s
        """,
    ),
    Kept(
        "kafka_bridge_inboxrow",
        lambda: clients.conf().inbox_days,
        """
        SELECT ctid FROM kafka_bridge_inboxrow
        WHERE "group" = %(group)s AND event_id < %(before_id)s AND handled_at < %(before)s
        ORDER BY event_id LIMIT %(limit)s
        """,
        each_group=True,
    ),
    Kept(
        "kafka_bridge_lagsample",
        lambda: clients.conf().sample_days,
        "SELECT ctid FROM kafka_bridge_lagsample WHERE at < %(before)s ORDER BY at LIMIT %(limit)s",
    ),
)


def prune(*, limit_seconds: float = LIMIT_SECONDS, dry_run: bool = False) -> dict[str, int]:
    """Delete what is too old, within this time; how many rows, by table. A dry run only counts them.

    Each batch is a transaction of its own. Rows that somebody has locked are left for the next time.
    """
    until = time.monotonic() + limit_seconds
    return {kept.name: sum(_prune(kept, group, until, dry_run=dry_run) for group in _groups(kept)) for kept in _KEPT}


def _groups(kept: Kept) -> list[str]:
    return [group.name for group in registry.groups()] if kept.each_group else [""]


def _prune(kept: Kept, group: str, until: float, *, dry_run: bool) -> int:
    before = timezone.now() - timedelta(days=kept.days())
    names: Names = {"before": before, "before_id": first_id(before), "group": group, "limit": BATCH}
    if dry_run:
        return _execute(f"SELECT count(*) FROM ({kept.oldest}) AS old", names | {"limit": 10_000_000})  # noqa: S608
    gone = 0
    while time.monotonic() < until:
        count = _execute(
            f"WITH gone AS (DELETE FROM {kept.name} WHERE ctid = ANY(ARRAY({kept.oldest} FOR UPDATE SKIP LOCKED)) "  # noqa: S608
            "RETURNING 1) SELECT count(*) FROM gone",
            names,
        )
        gone += count
        if count < BATCH:
            break
        time.sleep(_PAUSE_SECONDS)
    return gone


def _execute(statement: str, names: Names) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, names)
        [(count,)] = cursor.fetchall()
        return int(count)


def first_id(at: datetime) -> UUID:
    """The least time-ordered id (UUID version 7) of a moment: milliseconds first, RFC 9562 section 5.7."""
    return UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62)


def check_retention(**_: object) -> list[CheckMessage]:
    """System check: the inbox outlives every message, and the outbox does not outlive the inbox."""
    options = clients.conf()
    longest = max(topic.retention_seconds for topic in catalogue.TOPICS) + topics.DEAD_LETTER_RETENTION_SECONDS
    found: list[CheckMessage] = []
    if options.inbox_days * _DAY_SECONDS < longest:
        found.append(
            Error(
                f"KEEP_INBOX_DAYS={options.inbox_days:g} is too short: a message may come again for "
                f"{longest / _DAY_SECONDS:g} days (its topic's retention and that of the dead letters), and would then "
                "be handled twice",
                id="kafka_bridge.E004",
            )
        )
    if options.outbox_days > options.inbox_days:
        found.append(
            Error(
                f"KEEP_OUTBOX_DAYS={options.outbox_days:g} is longer than KEEP_INBOX_DAYS={options.inbox_days:g}: "
                "events that the inbox has forgotten would look as if nobody had had them, and be stated again",
                id="kafka_bridge.E005",
            )
        )
    return found
