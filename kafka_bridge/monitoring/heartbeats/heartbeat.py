"""What each process says of itself every few seconds, so that one that is missing is missed."""

import msgspec

from kafka_bridge.telemetry import buckets


class PartitionCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What a process has done with one partition for one group since it began; rates come from two heartbeats."""

    group: str
    topic: str
    """Without the prefix."""
    partition: int
    handled: int
    failed: int
    """Attempts that raised, each of them."""
    retried: int
    """Attempts that were not the first one."""
    parked: int
    dead: int
    buckets: tuple[int, ...]
    """How many messages took up to so long, by `BUCKET_SECONDS`, and the last one for longer; not cumulative."""


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """Something outside, as the process that uses it has seen it at its last use."""

    name: str
    """`postgresql`, `redis`, `kafka`, `gateway`, `mail`."""
    is_ok: bool
    since: float
    """Since when it has been so, in seconds since the epoch."""
    error: str = ""
    """Its kind, on one line, without addresses or passwords."""
    answer_seconds: float | None = None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One process; times in seconds since the epoch."""

    role: str
    """`web`, `live`, `relay`, `timekeeper`, or the consumer group's name without its prefix."""
    instance: str
    """Unique among all that ever ran: role, host, pid, and when it started."""
    host: str
    pid: int
    version: str
    started_at: float
    beat_at: float
    state: str
    """`starting`, `working`, `standing by` (another one leads, or has all partitions), `waiting` (for what is away),
    `paused` (by a person), `stopping`."""
    doing: str
    """What it does now, in a few words for people."""
    progressed_at: float | None
    """When it last finished something: a batch, a request, a job; None where it never has."""
    turned_at: float | None = None
    """When the loop came round that is the most behind; one that stays behind hangs, though its process lives. None
    where there is none yet."""
    memory_bytes: int
    cpu_seconds: float
    metrics_url: str = ""
    """Where Prometheus finds it; empty where it does not say."""
    member_ids: tuple[str, ...] = ()
    """Its member ids in Kafka's groups."""
    counters: tuple[PartitionCounters, ...] = ()
    dependencies: tuple[Dependency, ...] = ()


BUCKET_SECONDS = buckets.BUCKET_SECONDS
EVERY_SECONDS = 5.0
MISSED_AFTER_SECONDS = 15.0
"""A process that has said nothing for so long is missing."""
