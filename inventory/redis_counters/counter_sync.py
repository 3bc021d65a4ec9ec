"""Keeps the Redis stock counters in step with PostgreSQL: compares, repairs, and rebuilds what cannot be trusted.

The scheduler calls `sync` every second (`jobs.py`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from inventory import queries
from inventory.models import Reservation
from inventory.redis_counters import admission

REBUILDER_LOCK = 0x676174655F
# Redis hears of a commit within milliseconds; a difference older than this means that the update was lost.
_UPDATED_WITHIN_SECONDS = 2.0
# An order is admitted and decided within one transaction. If its consumer was killed it is delivered again, and
# admitted again if it was settled in the meantime.
_DECIDED_WITHIN_SECONDS = 15.0
_ABANDONED_AFTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CounterDifference:
    """A pool for which Redis and PostgreSQL have different counts."""

    pool: str
    redis: int | None
    """None if Redis has no counter."""
    postgresql: int
    version: int


def sync() -> str:
    """Repair the counters where necessary. Returns what was done, in words; empty if nothing was.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    mirror = admission.read_mirror()
    if not mirror.verified:
        return rebuild("they were missing, or built on another Redis process")
    if mirror.taken != mirror.promised:
        return rebuild("they reserved units for no order")
    done = []
    if settled := _settle_decided(mirror):
        done.append(f"{settled} orders settled late")
    outdated: list[CounterDifference] = []
    wrong: list[CounterDifference] = []
    for difference, version_in_redis in _compare(mirror):
        (outdated if version_in_redis < difference.version else wrong).append(difference)
    # The same version with another number cannot be an update that is late: nothing in Redis is trusted any more.
    if wrong:
        return rebuild(f"they differed from PostgreSQL for {', '.join(d.pool for d in wrong[:3])}")
    if outdated:
        admission.settle(counts=[(d.pool, d.postgresql, d.version) for d in outdated])
        done.append(f"{len(outdated)} counts updated late")
    return ", ".join(done)


def rebuild(why: str) -> str:
    """Rebuild all counters from PostgreSQL, unless another process is doing it. Returns what was done, in words.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    with _rebuild_lock() as is_locked:
        if not is_locked:
            return ""
        admission.rebuild(queries.all_counts)
    return f"rebuilt from PostgreSQL, because {why}"


def differences() -> list[CounterDifference]:
    """Pools whose counter differs from PostgreSQL although the update had time to arrive.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    mirror = admission.read_mirror()
    if not mirror.verified:
        return [CounterDifference(name, None, free, version) for name, free, version in queries.all_counts()]
    return [difference for difference, _ in _compare(mirror)]


def _compare(mirror: admission.CounterMirror) -> Iterator[tuple[CounterDifference, int]]:
    """Differences, each with the version that Redis has of the pool.

    The mirror was read before; so PostgreSQL may be newer, but not by much, and never older.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bin, received - held - sold, version, updated_at < clock_timestamp() - %s * interval '1 second' "
            "FROM inventory_stock",
            [_UPDATED_WITHIN_SECONDS],
        )
        for name, free, version, is_settled in cursor.fetchall():
            known = mirror.version.get(name, -1) if name in mirror.free else -1
            if known == version and mirror.free[name] == free:
                continue
            if known >= version or is_settled:
                yield CounterDifference(name, mirror.free.get(name), free, version), known


def _settle_decided(mirror: admission.CounterMirror) -> int:
    """Settle orders that were admitted and are decided by now, or were never delivered again."""
    now = time.time()
    old = [order_id for order_id, at in mirror.admitted.items() if at < now - _DECIDED_WITHIN_SECONDS]
    if not old:
        return 0
    decided: set[UUID] = set(Reservation.objects.filter(pk__in=old).values_list("pk", flat=True))
    over = [i for i in old if i in decided or mirror.admitted[i] < now - _ABANDONED_AFTER_SECONDS]
    admission.settle(orders=over)
    return len(over)


@contextmanager
def _rebuild_lock() -> Iterator[bool]:
    """Whether this process got the lock; two rebuilds at once would each delete the other's counters."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [REBUILDER_LOCK])
        (is_locked,) = cursor.fetchone()
        try:
            yield is_locked
        finally:
            if is_locked:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [REBUILDER_LOCK])
