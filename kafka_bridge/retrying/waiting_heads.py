"""Which parked keys can go on, and how much is parked: questions about `kafka_bridge_parkedmessage` that lock nothing.

What they answer may be out of date when it is used, so nothing is decided by it: `parking.lock_heads` decides.
"""

from dataclasses import dataclass

from django.db import connection

_RELEASED = """
SELECT key FROM kafka_bridge_parkedmessage WHERE "group" = %s AND state = 'released' LIMIT %s
"""
# From key to key through the index: its cost is that of the keys it passes, however many lie behind each head.
_NEXT_HEADS = """
WITH RECURSIVE head AS (
    (
        SELECT key, state, attempts, due_at, 1 AS number FROM kafka_bridge_parkedmessage
        WHERE "group" = %(group)s AND key > %(after)s ORDER BY key, id LIMIT 1
    )
    UNION ALL
    SELECT following.*, head.number + 1 FROM head CROSS JOIN LATERAL (
        SELECT p.key, p.state, p.attempts, p.due_at FROM kafka_bridge_parkedmessage p
        WHERE p."group" = %(group)s AND p.key > head.key ORDER BY p.key, p.id LIMIT 1
    ) AS following
    WHERE head.number < %(limit)s
)
SELECT key, state IN ('released', 'waiting')
    OR state = 'retrying' AND attempts > 0 AND due_at < now() - %(overdue)s * interval '1 second' AS is_ready
FROM head ORDER BY number
"""
_COUNT = """
SELECT "group", topic, partition,
    count(*) FILTER (WHERE state = 'retrying'),
    count(*) FILTER (WHERE state = 'waiting'),
    count(*) FILTER (WHERE state = 'dead'),
    extract(epoch FROM min(parked_at) FILTER (WHERE state = 'retrying'))::float8,
    (array_agg(error ORDER BY id) FILTER (WHERE state = 'retrying'))[1]
FROM kafka_bridge_parkedmessage GROUP BY "group", topic, partition
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedCounts:
    """How many messages of one partition a group has parked."""

    retrying: int = 0
    """Heads that wait for their next attempt."""
    waiting: int = 0
    """Messages behind a head of their key, whatever that one waits for."""
    dead: int = 0
    """Heads that wait for a person."""


@dataclass(frozen=True, slots=True)
class ReadyKeys:
    """Keys whose head can be handled now."""

    keys: list[str]
    last: str
    """The last key that was looked at; empty if there are no more."""


def find_ready(*, group: str, overdue_seconds: float, after: str = "", limit: int = 500) -> ReadyKeys:
    """Keys whose head can be handled now though no copy in a retry topic says so.

    It was discarded, so that what is behind it may go on; those are found wherever they are. Or what was before it has
    gone and no consumer went on; or its copy is overdue, and perhaps lost: for those, so many heads are looked at, from
    this key on. Locks nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RELEASED, [group, limit])
        keys = {row[0]: None for row in cursor.fetchall()}
        cursor.execute(_NEXT_HEADS, {"group": group, "after": after, "limit": limit, "overdue": overdue_seconds})
        heads_seen = cursor.fetchall()
    keys.update((key, None) for key, is_ready in heads_seen if is_ready)
    return ReadyKeys(list(keys), heads_seen[-1][0] if len(heads_seen) == limit else "")


def find_all_ready(*, group: str, overdue_seconds: float) -> list[str]:
    """All that `find_ready` finds, however many calls that takes."""
    found, after = dict[str, None](), ""
    while True:
        found_here = find_ready(group=group, overdue_seconds=overdue_seconds, after=after)
        found.update(dict.fromkeys(found_here.keys))
        if not found_here.last:
            return list(found)
        after = found_here.last


@dataclass(frozen=True, kw_only=True, slots=True)
class OldestRetry:
    """The oldest of a partition's messages that wait for their next attempt."""

    since: float
    """Seconds since the epoch."""
    error: str


def count_parked() -> dict[tuple[str, str, int], tuple[ParkedCounts, OldestRetry | None]]:
    """What is parked, by group, topic and partition; those of which nothing is are absent.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUNT)
        found = cursor.fetchall()
    return {
        (group, topic, partition): (
            ParkedCounts(retrying=retrying, waiting=waiting, dead=dead),
            OldestRetry(since=since, error=error) if retrying else None,
        )
        for group, topic, partition, retrying, waiting, dead, since, error in found
    }
