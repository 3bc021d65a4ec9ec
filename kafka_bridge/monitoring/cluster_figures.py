"""What is seen of a cluster: brokers, topics, groups.

Names are without the project's prefixes; durations in seconds, sizes in bytes, rates a second.
"""

from dataclasses import dataclass
from datetime import datetime

from kafka_bridge.monitoring.groups.lag import PartitionLag


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerFigures:
    """One broker. What comes by JMX is None where it is not exported."""

    id: int
    address: str
    is_up: bool
    is_controller: bool | None
    """None where several brokers run and it does not export it: to clients a cluster with KRaft names any broker."""
    leads: int
    """Partitions that it is the leader of."""
    heap_bytes: int | None = None
    heap_max_bytes: int | None = None
    page_cache_bytes: int | None = None
    """Of its machine; None unless that is this one."""
    log_bytes: int | None = None
    """All partitions that it keeps."""
    disk_free_bytes: int | None = None
    """On the disk of its logs; None unless that is this machine's."""
    requests_per_second: float | None = None
    bytes_in_per_second: float | None = None
    bytes_out_per_second: float | None = None
    certificate_ends_at: datetime | None = None
    """Of what it shows to its clients; None without TLS, and until it has been asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionFigures:
    """One partition of a topic."""

    number: int
    leader: int | None
    """None while there is none."""
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    start: int
    end: int
    """Both 0 while nobody leads it, for nobody can tell them."""
    size_bytes: int | None = None
    """One copy of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicFigures:
    """One topic of the project's."""

    name: str
    partitions: tuple[PartitionFigures, ...]
    messages: int
    size_bytes: int | None
    """One copy of each partition; None unless all are known."""
    written_per_second: float | None
    """None after the first look."""
    retention_seconds: float
    min_in_sync: int

    @property
    def under_replicated(self) -> int:
        """Partitions with fewer copies in step than they have."""
        return sum(len(partition.in_sync) < len(partition.replicas) for partition in self.partitions)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberFigures:
    """One member of a group."""

    id: str
    client_id: str
    host: str
    partitions: tuple[tuple[str, int], ...]
    """Topic and number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionRates:
    """How one partition goes for a group; None where nothing has happened to tell it by."""

    handled_per_second: float | None = None
    written_per_second: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p99_seconds: float | None = None
    error_rate: float | None = None
    """Attempts that raised, of all attempts, from 0 to 1, over the last minute."""
    retry_rate: float | None = None
    """Attempts that were not the first, of all attempts, from 0 to 1, over the last minute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupPartition:
    """One partition as a group has it."""

    lag: PartitionLag
    rates: PartitionRates
    stalled_seconds: float
    """For how long there has been something to read without the offset moving; 0 while it moves."""
    is_paused_by_person: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebalance:
    """Partitions changed hands."""

    at: datetime
    moved: int
    """Partitions that have another owner than before."""
    members: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupFigures:
    """One consumer group: its partitions together, and each."""

    name: str
    state: str
    """As the coordinator calls it: `STABLE`, `EMPTY`, `RECONCILING`, …"""
    members: tuple[MemberFigures, ...]
    partitions: tuple[GroupPartition, ...]
    messages: int
    """Still to be read, of all partitions."""
    seconds: float | None
    """The age of the oldest of them."""
    rates: PartitionRates
    drain_seconds: float | None
    """Until nothing is left at this pace; None where that will not come."""
    rebalances: tuple[Rebalance, ...]
    """The last ten, the newest first, as the one who looks has noticed them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaFigures:
    """A cluster, as the one who looks sees it."""

    cluster_id: str
    brokers: tuple[BrokerFigures, ...]
    topics: tuple[TopicFigures, ...]
    groups: tuple[GroupFigures, ...]
    answer_seconds: float
    """How long the brokers took for the shortest question."""

    @property
    def without_leader(self) -> int:
        """Partitions that can neither be read nor written now."""
        return sum(partition.leader is None for topic in self.topics for partition in topic.partitions)
