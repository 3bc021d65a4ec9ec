"""Old rows are deleted, or folded, table by table, in batches too small to hold up other work.

The bridge's own tables are named here; an app names its own in its `jobs.py`, with `keep`.

# Note [How long the inbox remembers]
The inbox is what makes a second delivery harmless. It must remember an event for as long as its message can still come:
while its topic keeps it, and after that while it lies among the dead letters and may be sent again. A system check
holds the settings to that. And since events that no group seems to have had are stated again for a Kafka that lost its
data, the outbox must not remember events that the inbox has forgotten. A dead letter is kept for longer than its copy
in Kafka, too: a consumer that reads the copies again from their beginning would otherwise take it for a new one.

# Note [How long the outbox remembers]
The outbox is what bears a message out (`believing/books.py`). It must remember an event for as long as its topic keeps
the message, and after that while a group has it parked or among its dead letters, however long that takes.

# Note [Append-only, until it is old]
Rows that say who did what are protected by triggers: nobody changes them, and nobody deletes them, except in a
transaction that has declared itself to be pruning, and then only what is older than the trigger itself allows
(`kafka_bridge_append_only`). So a prune with a wrong setting is refused by the database, and a slip elsewhere is, too.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.core.checks import CheckMessage, Error
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from kafka_bridge.consuming import registry
from kafka_bridge.runtime import clients, conf, topics
from kafka_bridge.wire import event_types

BATCH = 2000
_DAY_SECONDS = 24 * 3600
Names = dict[str, datetime | UUID | str | int | list[str]]
# Between two batches, so that whoever is at work has the disk most of the time.
_PAUSE_SECONDS = 0.05
# What is left then goes the next time.
LIMIT_SECONDS = 20.0


def _delete(cursor: CursorWrapper, kept: "RetentionPolicy", names: Names) -> int:
    """Delete a batch of what is old; rows that are locked are left for the next time."""
    cursor.execute(
        f"DELETE FROM {kept.table} WHERE ctid = ANY(ARRAY({kept.old} FOR UPDATE SKIP LOCKED))",  # noqa: S608
        names,
    )
    return int(cursor.rowcount)


@dataclass(frozen=True, kw_only=True)
class RetentionPolicy:
    """A table, for how long its rows are kept, and what becomes of older ones."""

    table: str
    setting: str
    """What says how many days: one of the bridge's own options, or what the project calls a setting of its own."""
    days: Callable[[], float]
    old: str
    """Statement that selects the `ctid` of up to %(limit)s rows older than %(before)s; see `prune` for more names."""
    forget: Callable[[CursorWrapper, "RetentionPolicy", Names], int] = _delete
    """Does away with a batch of them, in the caller's transaction, and says how many they were."""
    each_group: bool = False
    """Whether the statement is about one %(group)s at a time."""
    least_days: Callable[[], float] = lambda: 0
    because: str = ""
    """Why fewer days than that would be too few."""

    @property
    def called(self) -> str:
        """What people who run the project call the setting."""
        return conf.name_of(self.setting) if hasattr(conf.current(), self.setting) else self.setting


_kept: list[RetentionPolicy] = []


def register(kept: RetentionPolicy) -> None:
    """Have this table pruned, by the timekeeper and by `manage.py prune_tables`."""
    _kept.append(kept)


def policies() -> list[RetentionPolicy]:
    """All tables that are pruned."""
    return list(_kept)


def topic_days() -> float:
    """For how long a topic keeps a message, at most."""
    return max(topic.retention_seconds for topic in event_types.topics()) / _DAY_SECONDS


def message_days() -> float:
    """For how long a message can come (again): its topic's retention, and that of the dead letters."""
    return topic_days() + topics.DEAD_LETTER_RETENTION_SECONDS / _DAY_SECONDS


# -- Pruning ----------------------------------------------------------------------------------------------
def prune(*, limit_seconds: float = LIMIT_SECONDS, dry_run: bool = False) -> dict[str, int]:
    """Do away with what is too old, within this time; how many rows, by table. A dry run only counts them.

    Each batch is a transaction of its own, and the tables take turns, so that a long one does not keep the others
    waiting. The statements may ask for %(before)s, %(before_id)s (the first event id of that moment), %(limit)s,
    %(group)s and %(groups)s, all that there are.
    """
    until = time.monotonic() + limit_seconds
    counts = dict.fromkeys((kept.table for kept in _kept), 0)
    waiting = [(kept, group) for kept in _kept for group in _groups(kept)]
    while waiting and time.monotonic() < until:
        full = []
        for kept, group in waiting:
            names = _names(kept, group)
            count = _count(kept, names) if dry_run else _forget(kept, names)
            counts[kept.table] += count
            # Less than a full batch, where some of the oldest rows are in use.
            if count >= BATCH / 2 and not dry_run:
                full.append((kept, group))
                time.sleep(_PAUSE_SECONDS)
        waiting = full
    return counts


def _forget(kept: RetentionPolicy, names: Names) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        # See Note [Append-only, until it is old].
        cursor.execute("SET LOCAL bookrush.pruning = 'on'")
        return kept.forget(cursor, kept, names)


def _count(kept: RetentionPolicy, names: Names) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({kept.old}) AS old", names | {"limit": 10_000_000})  # noqa: S608
        [(count,)] = cursor.fetchall()
        return int(count)


def _names(kept: RetentionPolicy, group: str) -> Names:
    before = timezone.now() - timedelta(days=kept.days())
    groups = [group.name for group in registry.groups()]
    return {"before": before, "before_id": first_id(before), "group": group, "groups": groups, "limit": BATCH}


def _groups(kept: RetentionPolicy) -> list[str]:
    """The groups that have rows in the table, also those that the code no longer has; each found by the index."""
    if not kept.each_group:
        return [""]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE one AS (
                SELECT min("group") AS name FROM {kept.table}
                UNION ALL SELECT (SELECT min("group") FROM {kept.table} WHERE "group" > one.name)
                FROM one WHERE one.name IS NOT NULL
            )
            SELECT name FROM one WHERE name IS NOT NULL
            """  # noqa: S608
        )
        return [name for (name,) in cursor.fetchall()]


def first_id(at: datetime) -> UUID:
    """The least time-ordered id (UUID version 7) of a moment: milliseconds first, RFC 9562 section 5.7."""
    return UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62)


# -- The bridge's own tables ------------------------------------------------------------------------------
def _forget_letters(cursor: CursorWrapper, kept: RetentionPolicy, names: Names) -> int:
    """Letters go together with what was done to them."""
    cursor.execute(
        f"""
        WITH old AS MATERIALIZED (
            SELECT id FROM kafka_bridge_deadletter WHERE ctid = ANY(ARRAY({kept.old} FOR UPDATE SKIP LOCKED))
        ), acts AS (
            DELETE FROM kafka_bridge_deadletteract WHERE letter_id IN (SELECT id FROM old)
        )
        DELETE FROM kafka_bridge_deadletter WHERE id IN (SELECT id FROM old)
        """,  # noqa: S608
        names,
    )
    return int(cursor.rowcount)


# Of the event ids the first 48 bits are the time, and all these tables' indexes begin where their oldest rows are.
register(
    RetentionPolicy(
        table="kafka_bridge_outboxrow",
        setting="outbox_days",
        days=lambda: clients.conf().outbox_days,
        # As many more are looked at as may have to stay; see Note [How long the outbox remembers].
        old="""
        WITH needed AS MATERIALIZED (
            SELECT event_id FROM kafka_bridge_parkedmessage
            UNION SELECT event_id FROM kafka_bridge_deadletter WHERE state IN ('parked', 'redriven')
        )
        SELECT ctid FROM (
            SELECT ctid, published_at, event_id FROM kafka_bridge_outboxrow
            ORDER BY id LIMIT %(limit)s + (SELECT count(*) FROM needed)
        ) AS oldest
        WHERE published_at < %(before)s AND NOT EXISTS (SELECT FROM needed WHERE needed.event_id = oldest.event_id)
        LIMIT %(limit)s
        """,
        least_days=topic_days,
        because="a message of that age may still be read from its topic, and would not be believed",
    )
)
register(
    RetentionPolicy(
        table="kafka_bridge_inboxrow",
        setting="inbox_days",
        days=lambda: clients.conf().inbox_days,
        old="""
        SELECT ctid FROM kafka_bridge_inboxrow
        WHERE "group" = %(group)s AND event_id < %(before_id)s AND handled_at < %(before)s
        ORDER BY event_id LIMIT %(limit)s
        """,
        each_group=True,
        least_days=message_days,
        because="a message may come again until then (its topic's retention and that of the dead letters), and would "
        "be handled twice",
    )
)
register(
    RetentionPolicy(
        table="kafka_bridge_lagsample",
        setting="sample_days",
        days=lambda: clients.conf().sample_days,
        old="SELECT ctid FROM kafka_bridge_lagsample WHERE at < %(before)s ORDER BY at LIMIT %(limit)s",
    )
)
register(
    RetentionPolicy(
        table="kafka_bridge_unknownevent",
        setting="sample_days",
        days=lambda: clients.conf().sample_days,
        old="SELECT ctid FROM kafka_bridge_unknownevent WHERE last_at < %(before)s LIMIT %(limit)s",
    )
)
register(
    RetentionPolicy(
        table="kafka_bridge_processheartbeat",
        setting="sample_days",
        days=lambda: clients.conf().sample_days,
        old="""
        SELECT ctid FROM kafka_bridge_processheartbeat WHERE beat_at < %(before)s ORDER BY beat_at LIMIT %(limit)s
        """,
    )
)
# A parked message goes when it is handled or given up, however long that takes. Only where there is no such group any
# more nobody will ever do either.
register(
    RetentionPolicy(
        table="kafka_bridge_parkedmessage",
        setting="dead_letter_days",
        days=lambda: clients.conf().dead_letter_days,
        old="""
        SELECT ctid FROM kafka_bridge_parkedmessage
        WHERE NOT "group" = ANY(%(groups)s) AND parked_at < %(before)s ORDER BY id LIMIT %(limit)s
        """,
    )
)
register(
    RetentionPolicy(
        table="kafka_bridge_refusedmessage",
        setting="dead_letter_days",
        days=lambda: clients.conf().dead_letter_days,
        old="""
        SELECT ctid FROM kafka_bridge_refusedmessage WHERE closed_at < %(before)s ORDER BY closed_at LIMIT %(limit)s
        """,
    )
)
# One that is closed, long ago, and that nothing waits behind.
register(
    RetentionPolicy(
        table="kafka_bridge_deadletter",
        setting="dead_letter_days",
        days=lambda: clients.conf().dead_letter_days,
        old="""
        SELECT l.ctid FROM kafka_bridge_deadletter l
        WHERE l.state IN ('resolved', 'discarded') AND l.closed_at < %(before)s
            AND NOT EXISTS (
                SELECT FROM kafka_bridge_parkedmessage p WHERE p."group" = l."group" AND p.event_id = l.message_id
            ) AND NOT EXISTS (
                SELECT FROM kafka_bridge_deadletteract a WHERE a.letter_id = l.id AND a.at >= %(before)s
            )
        ORDER BY l.closed_at LIMIT %(limit)s
        """,
        forget=_forget_letters,
        least_days=message_days,
        because="until then its message, or its copy among Kafka's dead letters, may be read again, and would be taken "
        "for a new one",
    )
)


# -- The settings -----------------------------------------------------------------------------------------
def check_retention(**_: object) -> list[CheckMessage]:
    """System check: nothing is forgotten that something still needs, and the outbox does not outlive the inbox."""
    if not conf.are_there():
        return []
    found: list[CheckMessage] = [
        Error(
            f"{kept.called}={kept.days():g} is too short, at least {kept.least_days():g} days are wanted: "
            f"{kept.because}",
            id="kafka_bridge.E004",
        )
        for kept in _kept
        if kept.days() < kept.least_days()
    ]
    options = clients.conf()
    if options.outbox_days > options.inbox_days:
        found.append(
            Error(
                f"{conf.name_of('outbox_days')}={options.outbox_days:g} is longer than "
                f"{conf.name_of('inbox_days')}={options.inbox_days:g}: "
                "events that the inbox has forgotten would look as if nobody had had them, and be stated again",
                id="kafka_bridge.E005",
            )
        )
    return found
