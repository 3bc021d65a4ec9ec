"""How fast groups read and topics grow, from two looks at the lag; and so when a group will have caught up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils import timezone

from kafka_bridge.models import LagSample
from kafka_bridge.monitoring.groups.lag import PartitionLag

# Two looks closer than this say little; a look older than that says little about now.
SHORTEST, LONGEST = timedelta(seconds=5), timedelta(minutes=5)


class Key(NamedTuple):
    """One partition of one group."""

    group: str
    topic: str
    partition: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """Where a group and its partition were at some moment."""

    at: datetime
    position: int
    """What the group had read: its commit, or where the partition began."""
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """Messages per second."""

    handled: float
    written: float

    def drain_seconds(self, messages: int) -> float | None:
        """How long until nothing is left at this pace; None where that will not come."""
        if not messages:
            return 0.0
        gain = self.handled - self.written
        return messages / gain if gain > 0 else None


def key_of(row: PartitionLag | LagSample) -> Key:
    """Which partition of which group it is about."""
    return Key(row.group, row.topic, row.partition)


def snapshot_of(row: PartitionLag | LagSample, at: datetime) -> Snapshot:
    """A lag as a look; what is left and where the partition ends give where the group is."""
    return Snapshot(at=at, position=row.end - row.messages, end=row.end)


def snapshots_of(rows: Iterable[PartitionLag]) -> dict[Key, Snapshot]:
    """These lags as looks of this moment."""
    now = timezone.now()
    return {key_of(row): snapshot_of(row, now) for row in rows}


def earlier_snapshots() -> dict[Key, Snapshot]:
    """The newest samples that are old enough to tell a pace.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    now = timezone.now()
    samples = LagSample.objects.filter(at__gte=now - LONGEST, at__lte=now - SHORTEST).order_by("at")
    return {key_of(sample): snapshot_of(sample, sample.at) for sample in samples}


def measure(before: Mapping[Key, Snapshot], now: Mapping[Key, Snapshot]) -> dict[Key, Throughput]:
    """The pace of every partition that was looked at twice."""
    found = {}
    for key, last in now.items():
        first = before.get(key)
        if first is not None and (seconds := (last.at - first.at).total_seconds()) > 0:
            found[key] = Throughput(
                handled=max(0.0, (last.position - first.position) / seconds),
                written=max(0.0, (last.end - first.end) / seconds),
            )
    return found
