"""Overviews of a shop in which all is well, and of ones in which something is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka_bridge.monitoring.cluster_figures import (
    BrokerFigures,
    GroupFigures,
    GroupPartition,
    KafkaFigures,
    PartitionFigures,
    PartitionRates,
    TopicFigures,
)
from kafka_bridge.monitoring.groups.lag import PartitionLag
from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat
from shop.operations.overview.figures import (
    DatabaseFigures,
    DiskFigures,
    OutboxFigures,
    Overview,
    ProcessFigures,
    RedisFigures,
    Seen,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOPIC = "orders.events"


def overview(*, at: datetime = NOW, **sources: Any) -> Overview:
    """All is well, but for the sources given, as values or as `Seen`."""
    values: dict[str, Any] = {
        "processes": processes(at=at),
        "kafka": kafka(),
        "database": database(),
        "redis": redis(),
    } | sources
    disks = values.pop("disks", (DiskFigures(path="/", free_bytes=60 * 2**30, size_bytes=100 * 2**30),))
    seen: dict[str, Any] = {
        name: value if isinstance(value, Seen) else Seen(value=value, at=at) for name, value in values.items()
    }
    return Overview(at=at, disks=disks, **seen)


def away(error: str = "TimeoutError", *, since: datetime = NOW, value: Any = None) -> Seen[Any]:
    """A source that does not answer."""
    return Seen(value=value, at=since if value is not None else None, error=error, failing_since=since)


def processes(*, at: datetime = NOW, relay_progress: float | None = 0.0, **others: Any) -> ProcessFigures:
    """A relay that sent something so many seconds ago, and nobody missing."""
    now = at.timestamp()
    beat = Heartbeat(
        role="relay", instance="relay 1", host="here", pid=1, version="1", started_at=now - 60, beat_at=now,
        state="working", doing="", progressed_at=None if relay_progress is None else now - relay_progress,
        memory_bytes=1, cpu_seconds=1.0,
    )  # fmt: skip
    return ProcessFigures(**({"heartbeats": (beat,), "expected": {"relay": 1}, "missing": ()} | others))


def kafka(*groups: GroupFigures, **others: Any) -> KafkaFigures:
    """One broker, one topic of one partition, and these groups."""
    broker = BrokerFigures(id=1, address="kafka:9092", is_up=True, is_controller=True, leads=1)
    values: dict[str, Any] = {"cluster_id": "c", "brokers": (broker,), "topics": (topic(),), "answer_seconds": 0.01}
    return KafkaFigures(**(values | {"groups": groups} | others))


def topic(*, leader: int | None = 1, replicas: tuple[int, ...] = (1,), in_sync: tuple[int, ...] = (1,)) -> TopicFigures:
    """A topic of one partition that keeps messages for a week."""
    partition = PartitionFigures(number=0, leader=leader, replicas=replicas, in_sync=in_sync, start=0, end=10)
    return TopicFigures(
        name=TOPIC, partitions=(partition,), messages=10, size_bytes=100, written_per_second=1.0,
        retention_seconds=7 * 86400, min_in_sync=1,
    )  # fmt: skip


def group(
    name: str = "shipping",
    *,
    messages: int = 0,
    seconds: float = 0.0,
    stalled: float = 0.0,
    paused: bool = False,
    **rates: float,
) -> GroupFigures:
    """A group with one partition, so far behind."""
    lag = PartitionLag(
        group=name, topic=TOPIC, partition=0, committed=0, end=messages, messages=messages, seconds=seconds
    )
    of_group = PartitionRates(**rates)
    partition = GroupPartition(lag=lag, rates=of_group, stalled_seconds=stalled, is_paused_by_person=paused)
    return GroupFigures(
        name=name, state="STABLE", members=(), partitions=(partition,), messages=messages, seconds=seconds,
        rates=of_group, drain_seconds=None, rebalances=(),
    )  # fmt: skip


def database(**others: Any) -> DatabaseFigures:
    """Nothing waits for anybody."""
    values: dict[str, Any] = {
        "outbox": OutboxFigures(rows=0, oldest_seconds=0.0), "waiting": (), "dead_letters": 0, "refused_messages": 0,
        "reviews": 0, "oldest_review_seconds": 0.0, "mails_unsent": 0, "oldest_mail_seconds": 0.0,
        "mails_given_up": 0, "audit": None, "parked": {}, "connections": 10, "connections_max": 100,
        "size_bytes": 1000, "answer_seconds": 0.001, "clock_ahead_seconds": 0.0, "is_read_only": False,
    }  # fmt: skip
    return DatabaseFigures(**(values | others))


def redis(**others: Any) -> RedisFigures:
    """Redis at rest."""
    values: dict[str, Any] = {"answer_seconds": 0.001, "memory_bytes": 1, "memory_max_bytes": None, "clients": 1}
    return RedisFigures(**(values | {"evicted": 0} | others))


def later(seen: Overview, seconds: float) -> Overview:
    """The same, seen so much later by sources that still answer."""
    at = seen.at + timedelta(seconds=seconds)

    def moved(source: Seen[Any]) -> Seen[Any]:
        return (
            source if source.error or source.at is None else replace(source, at=source.at + timedelta(seconds=seconds))
        )

    return replace(
        seen, at=at, processes=moved(seen.processes), kafka=moved(seen.kafka), database=moved(seen.database),
        redis=moved(seen.redis),
    )  # fmt: skip
