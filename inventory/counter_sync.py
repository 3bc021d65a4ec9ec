"""Keeping the gate right: compared with PostgreSQL again and again, mended, and made anew where it is not trusted."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from inventory import admission, queries
from inventory.models import Reservation

REBUILDER_LOCK = 0x676174655F
# A commit and the telling of it are milliseconds apart; what is older than this was not told.
_TOLD_WITHIN_SECONDS = 2.0
# An order is admitted and written down within one transaction. One whose consumer was killed comes again, and is then
# admitted again if it was let go in the meantime.
_DECIDED_WITHIN_SECONDS = 15.0
_GIVEN_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class CounterDifference:
    """A bin of which the gate and PostgreSQL do not say the same."""

    bin: str
    gate: int | None
    """None where the gate does not know the bin."""
    postgresql: int
    version: int


def sync() -> str:
    """Mend what is wrong with the gate. Returns what was done, in words; empty if nothing had to be.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    mirror = admission.read()
    if not mirror.verified:
        return rebuild("it was empty, or made on another server")
    if mirror.taken != mirror.promised:
        return rebuild("it kept units back that no order was promised")
    done = []
    if settled := _settle_decided(mirror):
        done.append(f"{settled} orders settled late")
    younger: list[CounterDifference] = []
    wrong: list[CounterDifference] = []
    for difference, in_gate in _compare(mirror):
        (younger if in_gate < difference.version else wrong).append(difference)
    if wrong:
        return rebuild(f"it said otherwise than PostgreSQL of {', '.join(d.bin for d in wrong[:3])}")
    if younger:
        admission.settle(counts=[(d.bin, d.postgresql, d.version) for d in younger])
        done.append(f"{len(younger)} counts told late")
    return ", ".join(done)


def rebuild(why: str) -> str:
    """Make the gate anew from PostgreSQL, unless somebody else is at it. Returns what was done, in words.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    with _alone() as alone:
        if not alone:
            return ""
        admission.rebuild(queries.counts)
    return f"made anew from PostgreSQL, because {why}"


def differences() -> list[CounterDifference]:
    """Bins of which the gate does not say what PostgreSQL does, though it has had the time to.

    Raises:
        redis.RedisError, OSError: Redis cannot be reached.
    """
    mirror = admission.read()
    if not mirror.verified:
        return [CounterDifference(name, None, free, version) for name, free, version in queries.counts()]
    return [difference for difference, _ in _compare(mirror)]


def _compare(mirror: admission.CounterMirror) -> Iterator[tuple[CounterDifference, int]]:
    """Differences, each with the version that the gate has of the bin.

    The mirror was read before; so PostgreSQL may be younger, but not by long, and never older.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bin, received - held - sold, version, updated_at < clock_timestamp() - %s * interval '1 second' "
            "FROM inventory_stock",
            [_TOLD_WITHIN_SECONDS],
        )
        for name, free, version, is_settled in cursor.fetchall():
            known = mirror.version.get(name, -1) if name in mirror.free else -1
            if known == version and mirror.free[name] == free:
                continue
            if known >= version or is_settled:
                yield CounterDifference(name, mirror.free.get(name), free, version), known


def _settle_decided(mirror: admission.CounterMirror) -> int:
    """Let go of orders that were admitted and are decided by now, or never came again."""
    now = time.time()
    old = [order_id for order_id, at in mirror.admitted.items() if at < now - _DECIDED_WITHIN_SECONDS]
    if not old:
        return 0
    decided: set[UUID] = set(Reservation.objects.filter(pk__in=old).values_list("pk", flat=True))
    over = [i for i in old if i in decided or mirror.admitted[i] < now - _GIVEN_UP_SECONDS]
    admission.settle(orders=over)
    return len(over)


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether this is the only process that makes the gate anew right now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [REBUILDER_LOCK])
        (alone,) = cursor.fetchone()
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [REBUILDER_LOCK])
