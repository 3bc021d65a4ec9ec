"""How long handling took and how much of it failed lately, out of what consumers' heartbeats have counted."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kafka_bridge.monitoring.heartbeats.heartbeat import Heartbeat, PartitionCounters
from kafka_bridge.runtime import clients
from kafka_bridge.telemetry import buckets

WINDOW_SECONDS = 60.0
Place = tuple[str, str, int]
"""A group, one of its topics (both without prefixes), and a partition."""
_Counters = dict[tuple[str, Place], PartitionCounters]


@dataclass(slots=True)
class Handling:
    """What was handled and tried within the window."""

    handled: int = 0
    failed: int = 0
    retried: int = 0
    times: list[int] = field(default_factory=lambda: [0] * (len(buckets.BUCKET_SECONDS) + 1))

    def add(self, other: "Handling") -> None:
        """Count this too."""
        self.handled += other.handled
        self.failed += other.failed
        self.retried += other.retried
        self.times = [mine + more for mine, more in zip(self.times, other.times, strict=True)]

    @property
    def percentiles(self) -> Sequence[float | None]:
        """p50, p95 and p99 in seconds; None where nothing was handled."""
        return buckets.quantiles(self.times)

    @property
    def error_rate(self) -> float | None:
        """Attempts that raised, of all."""
        return self._of_attempts(self.failed)

    @property
    def retry_rate(self) -> float | None:
        """Attempts that were not the first, of all."""
        return self._of_attempts(self.retried)

    def _of_attempts(self, count: int) -> float | None:
        attempts = self.handled + self.failed
        return min(1.0, count / attempts) if attempts else None


class HandlingRates:
    """Remembers the counters of the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, set[str], _Counters]] = deque()

    def update(self, heartbeats: Iterable[Heartbeat], now: float) -> dict[Place, Handling]:
        """What was done since a minute ago, or since the first look, by partition; `now` in seconds since the epoch."""
        beats = list(heartbeats)
        counters = {(beat.instance, _place(each)): each for beat in beats for each in beat.counters}
        while len(self._seen) > 1 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()
        self._seen.append((now, {beat.instance for beat in beats}, counters))
        began_at = self._seen[0][0]
        found: dict[Place, Handling] = {}
        for beat in beats:
            before = {} if beat.started_at >= began_at else self._first_of(beat.instance)
            for each in beat.counters:
                place = _place(each)
                # What was not there then began with 0.
                found.setdefault(place, Handling()).add(_between(before.get((beat.instance, place)), each))
        return found

    def _first_of(self, instance: str) -> _Counters:
        """The counters of the first look at which this process was heard of."""
        return next(counters for _, known, counters in self._seen if instance in known)


def _place(counters: PartitionCounters) -> Place:
    return counters.group, counters.topic.removeprefix(clients.conf().topic_prefix), counters.partition


def _between(before: PartitionCounters | None, now: PartitionCounters) -> Handling:
    if before is None:
        return Handling(handled=now.handled, failed=now.failed, retried=now.retried, times=_times(now.buckets))
    return Handling(
        handled=max(0, now.handled - before.handled),
        failed=max(0, now.failed - before.failed),
        retried=max(0, now.retried - before.retried),
        times=_times(buckets.between(before.buckets, now.buckets)),
    )


def _times(counts: Sequence[int]) -> list[int]:
    """As many as there are buckets, whatever a heartbeat says."""
    wanted = len(buckets.BUCKET_SECONDS) + 1
    return list(counts) if len(counts) == wanted else [0] * wanted
