"""Keeps what is seen of the shop fresh, in the memory of the process that has started it.

# Note [A thread for each source]
Each source is asked by a thread of its own, at its own pace, so one that is frozen keeps no other waiting. And nobody
who looks ever waits: `overview` takes what is in memory. A source that has not answered within its limit is told as
failing from then on, whether or not its thread has come back: clients' own bounds are the second line.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db import connection

from kafka_bridge.monitoring.cluster_figures import KafkaFigures
from kafka_bridge.monitoring.cluster_reader import ClusterReader
from kafka_bridge.monitoring.groups.lag import PartitionLag
from shop.operations.overview import database, disks, outage_words, redis_server, samples
from shop.operations.overview.figures import DatabaseFigures, DiskFigures, Overview, ProcessFigures, RedisFigures, Seen
from shop.operations.processes import presence

log = logging.getLogger(__name__)
FRESH_SECONDS = 8.0
"""What was read so lately of Kafka need not be asked again for a sample."""
BROKERS_SECONDS = 15.0
"""Heap, disk and requests of brokers, and the bytes of topics, are asked for so often."""
T = TypeVar("T")


@dataclass
class Source(Generic[T]):
    """Something that can be asked."""

    name: str
    read: Callable[[], T]
    every_seconds: float
    limit_seconds: float
    """Who has not answered by then does not answer."""
    close: Callable[[], None] = lambda: None
    """Ends what it has opened, but for the database's connection."""
    _seen: Seen[T] = field(default_factory=Seen)
    _asked_at: float | None = None
    """While it is being asked, since when, by the monotonic clock."""
    _asked: datetime | None = None

    def ask(self) -> None:
        """Ask it once; never raises."""
        self._asked, self._asked_at = datetime.now(UTC), time.monotonic()
        try:
            value = self.read()
        except Exception as error:
            words = outage_words.describe(error)
            if not self._seen.error:
                log.warning("%s cannot be read: %s", self.name, words)
            self._seen = _failing(self._seen, words, self._asked)
        else:
            if self._seen.error:
                log.info("%s can be read again", self.name)
            self._seen = Seen(value=value, at=datetime.now(UTC))
        finally:
            self._asked_at = None

    def seen(self) -> Seen[T]:
        """What it said last; see Note [A thread for each source]."""
        # The time first: it is taken back when the answer is there.
        asked_at, asked, seen = self._asked_at, self._asked, self._seen
        if asked_at is None or asked is None or time.monotonic() - asked_at <= self.limit_seconds:
            return seen
        return _failing(seen, outage_words.no_answer(self.limit_seconds), asked)


def _failing(seen: Seen[T], error: str, since: datetime) -> Seen[T]:
    return Seen(value=seen.value, at=seen.at, error=error, failing_since=seen.failing_since or since)


class Collector:
    """All sources; those that are not asked by its threads are never said to fail."""

    def __init__(self) -> None:
        cluster = ClusterReader(metrics_every_seconds=BROKERS_SECONDS)
        self.processes: Source[ProcessFigures] = Source("processes", _read_processes, 2, 5)
        self.kafka: Source[KafkaFigures] = Source("kafka", lambda: self._read_kafka(cluster), 5, 5, cluster.close)
        self.database: Source[DatabaseFigures] = Source("database", database.read, 5, 4)
        self.redis: Source[RedisFigures] = Source("redis", redis_server.read, 5, 3)
        self.disks: Source[tuple[DiskFigures, ...]] = Source("disks", disks.read, 30, 10)
        self.recent = samples.RecentSamples()
        self._stop = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    @property
    def sources(self) -> Sequence[Source[Any]]:
        """All of them."""
        return self.processes, self.kafka, self.database, self.redis, self.disks

    def start(self, names: Collection[str]) -> None:
        """Ask these again and again from now on; those that are asked already are left alone."""
        with self._lock:
            for source in self.sources:
                if source.name in names and source.name not in self._threads:
                    thread = threading.Thread(target=self._run, args=[source], name=f"see-{source.name}", daemon=True)
                    self._threads[source.name] = thread
                    thread.start()
            if "recent" not in self._threads:
                self._threads["recent"] = threading.Thread(target=self._remember, name="see-recent", daemon=True)
                self._threads["recent"].start()

    def stop(self, *, within_seconds: float = 1.0) -> None:
        """Ask no more. Threads whose source does not answer are left to the end of the process."""
        self._stop.set()
        until = time.monotonic() + within_seconds
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))

    def overview(self) -> Overview:
        """What is in memory."""
        return Overview(
            at=datetime.now(UTC),
            processes=self.processes.seen(),
            kafka=self.kafka.seen(),
            database=self.database.seen(),
            redis=self.redis.seen(),
            disks=self.disks.seen().value or (),
        )

    def ask_all(self) -> Overview:
        """Ask every source once, all at the same time, and wait for each up to its limit."""
        threads = [threading.Thread(target=_ask_once, args=[source], daemon=True) for source in self.sources]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for source, thread in zip(self.sources, threads, strict=True):
            thread.join(max(0.0, began + source.limit_seconds + 0.1 - time.monotonic()))
        return self.overview()

    def _read_kafka(self, cluster: ClusterReader) -> KafkaFigures:
        processes, database = self.processes.seen().value, self.database.seen().value
        return cluster.read(processes.heartbeats if processes else (), pauses=database.pauses if database else ())

    def _remember(self) -> None:
        while not self._stop.wait(samples.SECONDS):
            self.recent.add(self.overview())

    def _run(self, source: Source[Any]) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            source.ask()
            self._stop.wait(max(0.1, began + source.every_seconds - time.monotonic()))
        source.close()
        connection.close()


def _ask_once(source: Source[Any]) -> None:
    try:
        source.ask()
    finally:
        source.close()
        connection.close()


def _read_processes() -> ProcessFigures:
    try:
        return presence.read_figures()
    finally:
        # PostgreSQL is asked only where Redis cannot say it all.
        connection.close()


SOURCES = ("processes", "kafka", "database", "redis", "disks")
_collector: Collector | None = None
_starting = threading.Lock()


def start(sources: Collection[str] = SOURCES) -> None:
    """Have this process look at these sources from now on. May be called again; after a fork, never before.

    Raises:
        ValueError: there is no such source.
    """
    global _collector
    if unknown := set(sources) - set(SOURCES):
        raise ValueError(f"no source {', '.join(sorted(unknown))}; there are: {', '.join(SOURCES)}")
    with _starting:
        if _collector is None:
            _collector = Collector()
        _collector.start(sources)


def stop() -> None:
    """Look no more; what was seen is forgotten."""
    global _collector
    with _starting:
        ending, _collector = _collector, None
    if ending is not None:
        ending.stop()


def overview() -> Overview:
    """What this process has seen last, from memory: never blocks. All is unknown where nothing was started."""
    current = _collector
    if current is None:
        return Overview(at=datetime.now(UTC), processes=Seen(), kafka=Seen(), database=Seen(), redis=Seen())
    return current.overview()


def recent_lag() -> tuple[datetime, Sequence[PartitionLag]] | None:
    """Of all groups, as Kafka said it in the last seconds, and when; None where that is longer ago."""
    now = overview()
    kafka, at = now.kafka.value, now.kafka.at
    if kafka is None or at is None or now.kafka.error or now.at - at > timedelta(seconds=FRESH_SECONDS):
        return None
    return at, [partition.lag for group in kafka.groups for partition in group.partitions]


def history(series: str, since: datetime, until: datetime) -> Sequence[samples.Point]:
    """Points of one series (`samples.values_of` names them), the oldest first; empty where nothing is known.

    The last hour comes from the memory of a process that has been looking for as long; what is older from PostgreSQL.
    """
    current = _collector
    return samples.points(current.recent if current else None, overview().database, series, since, until)


def collect_once() -> Overview:
    """Ask every source now, for commands; takes as long as the slowest, some seconds at most. It has no rates."""
    return Collector().ask_all()
