"""All that the window shows at a moment: one value, made by its watcher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.monitoring.cluster_figures import KafkaFigures
from kafka_bridge.monitoring.log_tail import LogEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxEntry:
    """One of the last rows of the outbox."""

    id: int
    type: str
    topic: str
    key: str
    partition: int | None
    """None, like the offset, until Kafka has acknowledged it."""
    offset: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxEntry:
    """One of the last messages, and the groups whose inbox has it."""

    type: str
    topic: str
    partition: int
    offset: int
    key: str
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """What lies on both sides of Kafka, in PostgreSQL."""

    waiting: int
    """Outbox rows that have not left."""
    outbox: Sequence[OutboxEntry] = ()
    """The newest first."""
    inbox: Sequence[InboxEntry] = ()
    """The newest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """What is known at a moment. `version` grows with each change."""

    version: int
    kafka: KafkaFigures | None = None
    kafka_error: str = ""
    """Why Kafka cannot be read; what was read last stays."""
    tails: Mapping[PartitionId, Sequence[LogEntry]] = field(default_factory=dict)
    """By partition (topics without the prefix), the last messages, the oldest first; empty while it only counts."""
    is_counting: bool = False
    """Whether there are too many messages to read them all, so that they are only counted."""
    written_per_second: float = 0.0
    stores: Stores | None = None
    stores_error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One event of an order's story."""

    event_id: UUID
    causation_id: UUID | None
    type: str
    topic: str
    stated_at: datetime
    published_at: datetime | None
    partition: int | None
    offset: int | None
    handled: Mapping[str, datetime]
    """By group, when its inbox took it."""
    depth: int = 0
    """How many causes it has that lie one behind the other."""

    @property
    def groups(self) -> list[str]:
        """Those that have handled it, the first one first."""
        return sorted(self.handled, key=self.handled.__getitem__)
