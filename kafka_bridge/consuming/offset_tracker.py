"""Which offsets may be committed while some messages are finished later than those that came after them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from confluent_kafka import TopicPartition

PartitionId = tuple[str, int]


class OffsetTracker:
    """Of each partition: how far it was taken, and which of its messages are still in hand."""

    def __init__(self) -> None:
        self._ends: dict[PartitionId, int] = {}
        self._stored: dict[PartitionId, int] = {}
        self._held: dict[PartitionId, set[int]] = defaultdict(set)

    def take(self, place: PartitionId, offset: int) -> None:
        """This message and all before it were handed over."""
        self._ends[place] = max(self._ends.get(place, 0), offset + 1)

    def hold(self, place: PartitionId, offset: int) -> None:
        """This one is not finished: nothing from it on may be committed."""
        self._held[place].add(offset)

    def release(self, place: PartitionId, offset: int) -> None:
        """This one is finished."""
        self._held[place].discard(offset)

    def to_store(self, assigned: Iterable[PartitionId]) -> list[TopicPartition]:
        """Offsets that have moved since the last call."""
        moved = [TopicPartition(*place, end) for place, end in self._safe() if place in assigned]
        self._stored |= {(moved_to.topic, moved_to.partition): moved_to.offset for moved_to in moved}
        return moved

    def at_least(self, committed: Iterable[TopicPartition]) -> dict[PartitionId, int]:
        """Where each partition stands for the group: what is committed of it, or more if more has been stored since.

        Without those of which nothing is committed and nothing stored.
        """
        known = {(at.topic, at.partition): at.offset for at in committed}
        known = {place: max(offset, self._stored.get(place, -1)) for place, offset in known.items()}
        return {place: offset for place, offset in known.items() if offset >= 0}

    def rewind(self, place: PartitionId) -> int | None:
        """Forget what is in hand of a partition; returns the offset from which it must be fetched again, if any."""
        start = min(self._held.pop(place, set()), default=None)
        if start is not None:
            self._ends[place] = start
        return start

    def forget(self, places: Iterable[PartitionId]) -> None:
        """These partitions are somebody else's now, or begin anew."""
        for place in places:
            for notes in (self._ends, self._stored, self._held):
                notes.pop(place, None)

    def _safe(self) -> Iterator[tuple[PartitionId, int]]:
        for place, end in self._ends.items():
            safe = min(self._held.get(place) or (end,))
            if safe > self._stored.get(place, -1):
                yield place, safe
