"""What has become of the messages of each partition, for each group; since the process began."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from kafka_bridge.runtime import conf
from kafka_bridge.telemetry import buckets

Outcome = Literal["handled", "seen_before", "failed", "retried", "parked", "dead"]


class Place(NamedTuple):
    """A partition as a group has it; the topic as the cluster calls it."""

    group: str
    topic: str
    partition: int


@dataclass(slots=True)
class Counts:
    """Of one partition."""

    handled: int = 0
    seen_before: int = 0
    failed: int = 0
    """Attempts that raised."""
    retried: int = 0
    """Attempts that were not the first."""
    parked: int = 0
    dead: int = 0
    seconds: float = 0.0
    """Of all handled messages together."""
    times: list[int] = field(default_factory=lambda: [0] * (len(buckets.BUCKET_SECONDS) + 1))
    """How many of them took how long; see `buckets`."""


class PartitionCounts:
    """All partitions that this process has seen messages of. A consumer and that of its retries count here at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Place, Counts] = {}

    def count(self, outcome: Outcome, group: str, topic: str, partition: int, *, by: int = 1) -> None:
        """So many messages, or attempts, ended like that."""
        with self._lock:
            counts = self._at(Place(group, topic, partition))
            setattr(counts, outcome, getattr(counts, outcome) + by)

    def count_all(self, outcome: Outcome, group: str, places: Iterable[tuple[str, int]]) -> None:
        """The same for messages from any places: topic, as the cluster calls it, and partition."""
        for (topic, partition), number in Counter(places).items():
            self.count(outcome, group, topic, partition, by=number)

    def count_handled(self, group: str, places: Iterable[tuple[str, int]], seconds: float) -> None:
        """Messages from there were handled together, in a transaction that took so long: so long each of them took."""
        index = buckets.index_of(seconds)
        with self._lock:
            for (topic, partition), number in Counter(places).items():
                counts = self._at(Place(group, topic, partition))
                counts.handled += number
                counts.seconds += seconds * number
                counts.times[index] += number

    def _at(self, place: Place) -> Counts:
        counts = self._counts.get(place)
        if counts is None:
            counts = self._counts[place] = Counts()
        return counts

    def snapshot(self) -> dict[Place, Counts]:
        """A copy of all that was counted, the topics without the cluster's prefix."""
        prefix = conf.current().topic_prefix
        with self._lock:
            return {
                place._replace(topic=place.topic.removeprefix(prefix)): Counts(
                    c.handled, c.seen_before, c.failed, c.retried, c.parked, c.dead, c.seconds, list(c.times)
                )
                for place, c in self._counts.items()
            }


current = PartitionCounts()
"""This process's."""
