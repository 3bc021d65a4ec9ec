"""What operators may see, made up: a shop in which all is well, and one in which shipping has stopped."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka_bridge.monitoring.cluster_figures import (
    BrokerFigures,
    GroupFigures,
    GroupPartition,
    KafkaFigures,
    MemberFigures,
    PartitionFigures,
    PartitionRates,
    Rebalance,
    TopicFigures,
)
from kafka_bridge.monitoring.groups.lag import PartitionLag
from kafka_bridge.monitoring.heartbeats.heartbeat import Dependency, Heartbeat
from shop.operations.overview.figures import (
    AuditFigures,
    DatabaseFigures,
    MissingProcess,
    OutboxFigures,
    Overview,
    ProcessFigures,
    RedisFigures,
    Seen,
    WaitingOrders,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
TOPICS = ("orders.events", "inventory.events", "payments.events")
GROUPS = ("analytics", "inventory", "notifications", "orders", "payments", "shipping")
ROLES = (*GROUPS, "live", "relay", "timekeeper", "web")
_RATES = PartitionRates(
    handled_per_second=12.5, written_per_second=12.4, p50_seconds=0.0031, p95_seconds=0.018, p99_seconds=0.11,
    error_rate=0.0, retry_rate=0.004,
)  # fmt: skip


def all_well(now: datetime = NOW) -> Overview:
    """Every source has been read just now, and nobody waits longer than usual."""
    return Overview(
        at=now,
        processes=_seen(now, processes(now)),
        kafka=_seen(now, kafka(now)),
        database=_seen(now, database(now)),
        redis=_seen(
            now,
            RedisFigures(answer_seconds=0.0004, memory_bytes=8_000_000, memory_max_bytes=None, clients=31, evicted=0),
        ),
    )


def shipping_stopped(now: datetime = NOW) -> Overview:
    """Nobody reads for shipping, and paid orders wait for it."""
    well = all_well(now)
    waits = WaitingOrders(
        stage="shipping", sentence="17 paid orders wait for shipping, the oldest for 2 min 14 s.", orders=17,
        oldest_seconds=134, usual_seconds=35, group="shipping", url="/admin/orders/order/?waits=shipping",
    )  # fmt: skip
    missing = MissingProcess(role="shipping", expected=1, present=0, since=now - timedelta(seconds=140))
    beats = tuple(beat for beat in processes(now).heartbeats if beat.role != "shipping")
    groups = tuple(
        group_of("shipping", now, messages=17, seconds=134.0, is_read=False) if group.name == "shipping" else group
        for group in kafka(now).groups
    )
    return replace(
        well,
        processes=_seen(now, replace(processes(now), heartbeats=beats, missing=(missing,))),
        kafka=_seen(now, replace(kafka(now), groups=groups)),
        database=_seen(now, replace(database(now), waiting=(waits,))),
    )


def away(overview: Overview, source: str, error: str, *, seconds: float = 60) -> Overview:
    """The same with one source that cannot be read any more."""
    since = overview.at - timedelta(seconds=seconds)
    seen: Seen[Any] = getattr(overview, source)
    changes: dict[str, Any] = {source: replace(seen, at=since, error=error, failing_since=since)}
    return replace(overview, **changes)


def _seen(now: datetime, value: Any) -> Seen[Any]:
    return Seen(value=value, at=now - timedelta(seconds=1))


def processes(now: datetime = NOW) -> ProcessFigures:
    """One process of each role."""
    at = now.timestamp()
    beats = [
        Heartbeat(
            role=role, instance=f"{role}-1", host="shop-1", pid=100 + number, version="0.2.0", started_at=at - 7200,
            beat_at=at - 2, state="working", doing="waits for messages", progressed_at=at - 3,
            memory_bytes=64_000_000, cpu_seconds=12.5,
            dependencies=(Dependency(name="gateway", is_ok=True, since=at - 7200, answer_seconds=0.052),)
            if role == "payments" else (),
        )
        for number, role in enumerate(ROLES)
    ]  # fmt: skip
    return ProcessFigures(heartbeats=tuple(beats), expected=dict.fromkeys(ROLES, 1), missing=())


def group_of(
    name: str, now: datetime, *, messages: int = 0, seconds: float | None = 0.0, is_read: bool = True
) -> GroupFigures:
    """A consumer group with a partition of each topic; its messages lie in the first one."""
    member = MemberFigures(
        id=f"{name}-3f2a9c7e-11", client_id=name, host="/10.0.0.7", partitions=tuple((topic, 0) for topic in TOPICS)
    )
    parts = tuple(
        GroupPartition(
            lag=PartitionLag(
                group=name, topic=topic, partition=0, committed=4000 - (messages if number == 0 else 0), end=4000,
                messages=messages if number == 0 else 0, seconds=seconds if number == 0 else 0.0,
                owner=f"3f2a9c7e-11, {name}, 10.0.0.7" if is_read else "", state="reading" if is_read else "nobody",
            ),
            rates=_RATES, stalled_seconds=(seconds or 0.0) if number == 0 and messages else 0.0,
        )
        for number, topic in enumerate(TOPICS)
    )  # fmt: skip
    return GroupFigures(
        name=name, state="STABLE" if is_read else "EMPTY", members=(member,) if is_read else (), partitions=parts,
        messages=messages, seconds=seconds, rates=_RATES, drain_seconds=None,
        rebalances=(Rebalance(at=now - timedelta(minutes=20), moved=3, members=1),),
    )  # fmt: skip


def kafka(now: datetime = NOW) -> KafkaFigures:
    """Three brokers, three topics, six groups."""
    brokers = [
        BrokerFigures(
            id=number, address=f"kafka-{number}:9092", is_up=True, is_controller=number == 1, leads=3,
            heap_bytes=310_000_000, heap_max_bytes=1_073_741_824, page_cache_bytes=900_000_000, log_bytes=48_000_000,
            disk_free_bytes=72_000_000_000, requests_per_second=220.5, bytes_in_per_second=51_000.0,
            bytes_out_per_second=160_000.0, certificate_ends_at=now + timedelta(days=300),
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    topics = [
        TopicFigures(
            name=name, messages=12_000, size_bytes=6_500_000, written_per_second=12.4, retention_seconds=604_800,
            min_in_sync=2,
            partitions=tuple(
                PartitionFigures(
                    number=number, leader=1, replicas=(1, 2, 3), in_sync=(1, 2, 3), start=0, end=4000,
                    size_bytes=2_100_000,
                )
                for number in range(3)
            ),
        )
        for name in TOPICS
    ]  # fmt: skip
    return KafkaFigures(
        cluster_id="bookrush-1", brokers=tuple(brokers), topics=tuple(topics),
        groups=tuple(group_of(name, now) for name in GROUPS), answer_seconds=0.0031,
    )  # fmt: skip


def database(now: datetime = NOW) -> DatabaseFigures:
    """Nothing is open; two orders are on their usual way."""
    waits = WaitingOrders(
        stage="shipping", sentence="2 paid orders wait for shipping, the oldest for 4 s.", orders=2, oldest_seconds=4,
        usual_seconds=35, group="shipping", url="/admin/orders/order/?waits=shipping",
    )  # fmt: skip
    return DatabaseFigures(
        outbox=OutboxFigures(rows=0, oldest_seconds=0), waiting=(waits,), dead_letters=0, refused_messages=0, reviews=0,
        oldest_review_seconds=0, mails_unsent=0, oldest_mail_seconds=0, mails_given_up=0,
        audit=AuditFigures(at=now, is_clean=True, wrong=0, names=()), parked={}, connections=34, connections_max=100,
        size_bytes=42_000_000, answer_seconds=0.0006, clock_ahead_seconds=0.0, is_read_only=False,
    )  # fmt: skip


def without_postgresql(now: datetime = NOW) -> Overview:
    """PostgreSQL has been away for a minute."""
    return away(all_well(now), "database", "OperationalError")
