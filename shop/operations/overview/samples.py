"""The history of the overview: samples, taken every few seconds, thinned as they grow older.

# Note [A row a moment]
A sample is one row with all series in it as JSON, and not a row for each series: there are some two hundred series, and
a chart of an hour would read as many rows. A row of some 4 kB every ten seconds is 0.4 kB a second, and one place in
one index. Averages and maxima are kept when samples are thinned: a peak of a second must not vanish from a chart of a
week.
"""

import itertools
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, connection

from kafka_bridge.monitoring.cluster_figures import KafkaFigures
from kafka_bridge.runtime.postgresql import bulk_rows
from shop.operations.overview.figures import DatabaseFigures, Overview, Seen

SECONDS = 10
MEMORY = timedelta(hours=1)
POINTS_MAX = 5000
"""More than a chart can show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """Samples that stand for so long, and for how long they are kept; the coarsest go by KEEP_OVERVIEW_DAYS."""

    seconds: int
    kept: timedelta


RESOLUTIONS = (
    Resolution(seconds=SECONDS, kept=timedelta(hours=2)),
    Resolution(seconds=60, kept=timedelta(days=2)),
    Resolution(seconds=900, kept=timedelta(days=30)),
)
_TOO_FINE = " OR ".join(
    f"resolution = {each.seconds} AND at < now() - interval '{each.kept.total_seconds():.0f} s'"
    for each in RESOLUTIONS[:-1]
)
OLD = f"SELECT ctid FROM shop_overviewsample WHERE at < %(before)s OR {_TOO_FINE} LIMIT %(limit)s"  # noqa: S608
"""What goes, as housekeeping asks for it."""
_WRITE = """
INSERT INTO shop_overviewsample (resolution, at, averages, maxima) VALUES (%s, %s, %s, '{}') ON CONFLICT DO NOTHING
"""
# Only times that are over, and from where it was left the last time.
_FOLD = """
INSERT INTO shop_overviewsample (resolution, at, averages, maxima)
SELECT %(to)s, at, jsonb_object_agg(key, average), jsonb_object_agg(key, maximum)
FROM (
    SELECT date_bin(make_interval(secs => %(to)s), s.at, 'epoch') AS at, key, avg(value::float8) AS average,
        max(coalesce((s.maxima ->> key)::float8, value::float8)) AS maximum
    FROM shop_overviewsample AS s, jsonb_each(s.averages) AS each (key, value)
    WHERE s.resolution = %(of)s AND s.at < date_bin(make_interval(secs => %(to)s), now(), 'epoch')
        AND s.at >= coalesce(
            (SELECT max(at) + make_interval(secs => %(to)s) FROM shop_overviewsample WHERE resolution = %(to)s),
            '-infinity')
    GROUP BY 1, 2
) AS folded
GROUP BY at
ON CONFLICT DO NOTHING
"""
_READ = """
SELECT at, (averages ->> %s)::float8, (coalesce(maxima ->> %s, averages ->> %s))::float8 FROM shop_overviewsample
WHERE resolution = %s AND at >= %s AND at <= %s AND jsonb_exists(averages, %s) ORDER BY at LIMIT %s
"""
_READ_MAXIMA = """
SELECT at, averages || maxima FROM shop_overviewsample WHERE resolution = 60 AND at >= %s ORDER BY at LIMIT %s
"""
MINUTES_MAX = 2880


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One series at one moment, or over the time for which a sample stands."""

    at: datetime
    average: float
    maximum: float


class RecentSamples:
    """The last hour in memory, so that charts go on without PostgreSQL. One thread writes, any may read."""

    def __init__(self) -> None:
        self._samples: deque[tuple[datetime, Mapping[str, float]]] = deque(
            maxlen=int(MEMORY.total_seconds()) // SECONDS
        )

    def add(self, overview: Overview) -> None:
        """Remember this moment."""
        self._samples.append((overview.at, values_of(overview)))

    def points(self, series: str, since: datetime, until: datetime) -> list[Point]:
        """What is known of that time."""
        return [
            Point(at=at, average=values[series], maximum=values[series])
            for at, values in list(self._samples)
            if since <= at <= until and series in values
        ]

    @property
    def begins_at(self) -> datetime:
        """From when on it knows; now where it knows nothing."""
        try:
            return self._samples[0][0]
        except IndexError:
            return datetime.now(UTC)


# -- In PostgreSQL ------------------------------------------------------------------------------------------
def write(overview: Overview) -> None:
    """Keep this moment.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [SECONDS, overview.at, bulk_rows.as_json(dict(values_of(overview)))])


def thin() -> None:
    """Make the coarser samples of the finer ones whose time is over. What is too old, housekeeping deletes."""
    with connection.cursor() as cursor:
        for fine, coarse in itertools.pairwise(RESOLUTIONS):
            cursor.execute(_FOLD, {"of": fine.seconds, "to": coarse.seconds})


def read(series: str, since: datetime, until: datetime) -> list[Point]:
    """Points of the finest samples that are kept for long enough.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    age = datetime.now(UTC) - since
    resolution = next((each for each in RESOLUTIONS if age <= each.kept), RESOLUTIONS[-1]).seconds
    with connection.cursor() as cursor:
        cursor.execute(_READ, [series, series, series, resolution, since, until, series, POINTS_MAX])
        return [Point(at=at, average=average, maximum=maximum) for at, average, maximum in cursor.fetchall()]


def read_maxima(since: datetime) -> Iterator[tuple[datetime, dict[str, float]]]:
    """The highest values of each minute since then, by series, the oldest first.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    with connection.cursor() as cursor:
        cursor.execute(_READ_MAXIMA, [since, MINUTES_MAX])
        for at, values in cursor.fetchall():
            yield at, values if isinstance(values, dict) else json.loads(values)


def points(
    recent: RecentSamples | None, database: Seen[DatabaseFigures], series: str, since: datetime, until: datetime
) -> Sequence[Point]:
    """From memory where that knows it all or PostgreSQL is away; else from PostgreSQL."""
    is_away = bool(database.error)
    if recent is not None and (is_away or recent.begins_at <= since):
        return recent.points(series, since, until)
    try:
        return read(series, since, until)
    except DatabaseError:
        return recent.points(series, since, until) if recent is not None else []


# -- Series -------------------------------------------------------------------------------------------------
def values_of(overview: Overview) -> dict[str, float]:
    """By name, each series; those whose source cannot be read now, or cannot say, are absent.

    `group.<name>.lag`, `….age_seconds`, `….handled_per_second`, `….p95_seconds`, `….error_rate`,
    `topic.<name>.written_per_second`, `….messages`, `waiting.<stage>.orders`, `….oldest_seconds`, `outbox.rows`, …
    """
    found: dict[str, float | None] = {}
    if overview.kafka.value is not None and not overview.kafka.error:
        found |= dict(_of_kafka(overview.kafka.value))
    if overview.database.value is not None and not overview.database.error:
        found |= dict(_of_database(overview.database.value))
    if (redis := overview.redis.value) is not None and not overview.redis.error:
        found |= {"redis.answer_seconds": redis.answer_seconds, "redis.memory_bytes": redis.memory_bytes}
    if (processes := overview.processes.value) is not None and not overview.processes.error:
        found |= {"processes.present": len(processes.heartbeats), "processes.missing": len(processes.missing)}
    found |= {f"disk.{disk.path}.free_bytes": disk.free_bytes for disk in overview.disks}
    return {name: float(value) for name, value in found.items() if value is not None}


def _of_kafka(kafka: KafkaFigures) -> Iterator[tuple[str, float | None]]:
    yield "kafka.answer_seconds", kafka.answer_seconds
    for group in kafka.groups:
        name = f"group.{group.name}"
        yield f"{name}.lag", group.messages
        yield f"{name}.age_seconds", group.seconds
        yield f"{name}.handled_per_second", group.rates.handled_per_second
        yield f"{name}.written_per_second", group.rates.written_per_second
        yield f"{name}.p50_seconds", group.rates.p50_seconds
        yield f"{name}.p95_seconds", group.rates.p95_seconds
        yield f"{name}.p99_seconds", group.rates.p99_seconds
        yield f"{name}.error_rate", group.rates.error_rate
        yield f"{name}.retry_rate", group.rates.retry_rate
    for topic in kafka.topics:
        yield f"topic.{topic.name}.messages", topic.messages
        yield f"topic.{topic.name}.written_per_second", topic.written_per_second
        yield f"topic.{topic.name}.size_bytes", topic.size_bytes
    for broker in kafka.brokers:
        yield f"broker.{broker.id}.heap_bytes", broker.heap_bytes
        yield f"broker.{broker.id}.log_bytes", broker.log_bytes
        yield f"broker.{broker.id}.requests_per_second", broker.requests_per_second


def _of_database(database: DatabaseFigures) -> Iterator[tuple[str, float | None]]:
    yield "outbox.rows", database.outbox.rows
    yield "outbox.oldest_seconds", database.outbox.oldest_seconds
    for waiting in database.waiting:
        yield f"waiting.{waiting.stage}.orders", waiting.orders
        yield f"waiting.{waiting.stage}.oldest_seconds", waiting.oldest_seconds
    yield "dead_letters", database.dead_letters
    yield "reviews", database.reviews
    yield "mails.unsent", database.mails_unsent
    yield "parked", sum(database.parked.values())
    yield "database.connections", database.connections
    yield "database.size_bytes", database.size_bytes
    yield "database.answer_seconds", database.answer_seconds
