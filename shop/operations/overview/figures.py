"""What is seen of the shop, as one value: `Overview`.

Times are aware datetimes in UTC, durations in seconds, sizes in bytes, rates a second. What a source cannot say is
None, and never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from kafka_bridge.models import GroupControl
from kafka_bridge.monitoring.cluster_figures import KafkaFigures
from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen(Generic[T]):
    """What a source said last, and whether it still can."""

    value: T | None = None
    """None until it has said something."""
    at: datetime | None = None
    """When the value was read."""
    error: str = ""
    """Why it cannot be read now, on one line without addresses or passwords; empty while it can."""
    failing_since: datetime | None = None
    """Since when it cannot be read."""

    def age_seconds(self, now: datetime) -> float | None:
        """How old the value is; None where there is none."""
        return None if self.at is None else max(0.0, (now - self.at).total_seconds())


# -- Processes --------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True, slots=True)
class MissingProcess:
    """A process that should run, and does not say that it does."""

    role: str
    expected: int
    present: int
    since: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessFigures:
    """Who runs, by their heartbeats."""

    heartbeats: tuple[Heartbeat, ...]
    """In the order of role and instance; those that have ended without a word stay for a minute."""
    expected: Mapping[str, int]
    """By role, how many processes should run (`EXPECTED_PROCESSES`)."""
    missing: tuple[MissingProcess, ...]
    read_from: str = "Redis"
    """Or PostgreSQL, which hears of each process once a minute only."""


# -- PostgreSQL ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxFigures:
    """Events that have not left for Kafka."""

    rows: int
    oldest_seconds: float
    """0 where none waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingOrders:
    """Orders that wait for the same thing: "17 paid orders wait for shipping, the oldest for 42 s"."""

    stage: str
    """What they wait for, as a name: `stock`, `payment`, `bank`, `shipping`, `delivery`, `refund`."""
    sentence: str
    """The same as a sentence, with the numbers in it."""
    orders: int
    oldest_seconds: float
    usual_seconds: float
    """Longer than this, and it is no longer the usual course of things."""
    group: str
    """The consumer group that must act; empty where it is not ours to act (a buyer, a carrier)."""
    url: str
    """The admin's list of these orders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditFigures:
    """The last audit."""

    at: datetime
    is_clean: bool
    wrong: int
    names: tuple[str, ...]
    """The invariants that do not hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseFigures:
    """What PostgreSQL knows that somebody may have to act on."""

    outbox: OutboxFigures
    waiting: tuple[WaitingOrders, ...]
    dead_letters: int
    """That wait for a person; counted up to 10,001."""
    refused_messages: int
    reviews: int
    """Payments that need a person."""
    oldest_review_seconds: float
    mails_unsent: int
    oldest_mail_seconds: float
    mails_given_up: int
    audit: AuditFigures | None
    parked: Mapping[str, int]
    """By group, messages that wait to be tried again."""
    connections: int
    connections_max: int
    size_bytes: int
    answer_seconds: float
    """How long the server took for the shortest question."""
    clock_ahead_seconds: float
    """Of the server's clock before ours; negative where it is behind."""
    is_read_only: bool
    pauses: tuple[GroupControl, ...] = ()
    """What people have paused, the newest first."""


# -- The others ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True, slots=True)
class RedisFigures:
    """Redis, as the one who looks sees it."""

    answer_seconds: float
    memory_bytes: int
    memory_max_bytes: int | None
    clients: int
    evicted: int
    """Keys that it threw out for lack of memory, since it started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskFigures:
    """A file system that the one who looks can see."""

    path: str
    free_bytes: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All that is seen at a moment; each source with its own age."""

    at: datetime
    processes: Seen[ProcessFigures]
    kafka: Seen[KafkaFigures]
    database: Seen[DatabaseFigures]
    redis: Seen[RedisFigures]
    disks: tuple[DiskFigures, ...] = ()
