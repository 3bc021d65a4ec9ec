"""Who is there, and who is missing: heartbeats against what is expected."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import redis
from django.db import DatabaseError

from kafka_bridge.monitoring.heartbeats import heartbeat_table
from kafka_bridge.monitoring.heartbeats.heartbeat import MISSED_AFTER_SECONDS, Heartbeat
from kafka_bridge.runtime import conf
from shop.operations.overview.figures import MissingProcess, ProcessFigures
from shop.operations.processes import expected, redis_store


def read_figures(now: datetime | None = None) -> ProcessFigures:
    """Who runs, by Redis; by PostgreSQL where Redis cannot be asked, or does not know them all yet.

    Raises:
        DatabaseError: neither can.
        NotExpected: the setting EXPECTED_PROCESSES cannot be read.
    """
    try:
        found, since = redis_store.read(), redis_store.written_since()
    except redis.RedisError:
        return _by_the_table([], now, "PostgreSQL")
    if since is None or time.time() - since < MISSED_AFTER_SECONDS:
        return _by_the_table(found, now, "Redis and PostgreSQL")
    return figures_of(found, now=now)


def _by_the_table(found: list[Heartbeat], now: datetime | None, read_from: str) -> ProcessFigures:
    # A process writes there once a minute, and may be late by one failed attempt.
    missed_after = 2.5 * conf.current().heartbeat_table_seconds
    known = {heartbeat.instance for heartbeat in found}
    others = [beat for beat in heartbeat_table.read(within_seconds=missed_after) if beat.instance not in known]
    return figures_of([*found, *others], now=now, read_from=read_from, missed_after_seconds=missed_after)


def figures_of(
    found: Iterable[Heartbeat],
    *,
    now: datetime | None = None,
    read_from: str = "Redis",
    missed_after_seconds: float = MISSED_AFTER_SECONDS,
) -> ProcessFigures:
    """These heartbeats, against what is expected."""
    now, wanted = now or datetime.now(UTC), expected.current()
    heartbeats = sorted(found, key=lambda heartbeat: (heartbeat.role, heartbeat.instance))
    return ProcessFigures(
        heartbeats=tuple(heartbeats),
        expected=wanted,
        missing=tuple(_missing(heartbeats, wanted, now, missed_after_seconds)),
        read_from=read_from,
    )


def is_silent(heartbeat: Heartbeat, now: datetime, after_seconds: float = MISSED_AFTER_SECONDS) -> bool:
    """Whether a process has said nothing for too long."""
    return heartbeat.beat_at < now.timestamp() - after_seconds


def _missing(
    heartbeats: list[Heartbeat], wanted: Mapping[str, int], now: datetime, missed_after_seconds: float
) -> Iterable[MissingProcess]:
    silent = [beat for beat in heartbeats if is_silent(beat, now, missed_after_seconds)]
    present = Counter(beat.role for beat in heartbeats) - Counter(beat.role for beat in silent)
    short = [role for role, number in wanted.items() if present[role] < number]
    for role in _short_since.keys() - set(short):
        del _short_since[role]
    for role in short:
        if role not in _short_since:
            heard = [beat.beat_at for beat in silent if beat.role == role]
            _short_since[role] = datetime.fromtimestamp(max(heard), UTC) if heard else _last_seen(role, present) or now
        yield MissingProcess(role=role, expected=wanted[role], present=present[role], since=_short_since[role])


_short_since: dict[str, datetime] = {}
"""Since when a role has had too few processes, as this process has noticed it."""


def _last_seen(role: str, present: Mapping[str, int]) -> datetime | None:
    """When one was heard of that is gone now; PostgreSQL remembers that for days."""
    try:
        return None if present[role] else heartbeat_table.last_seen().get(role)
    except DatabaseError:
        return None
