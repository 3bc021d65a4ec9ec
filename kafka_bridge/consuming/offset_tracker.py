"""Which offsets may be committed while some messages are finished later than those that came after them.

A committed offset says that all messages before it are done. So of each partition it is the lowest one in hand, and the
end of what was taken only where nothing is in hand.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import cast

from confluent_kafka import Message, TopicPartition

PartitionId = tuple[str, int]


def partition_of(message: Message) -> PartitionId:
    """A message's topic, as the cluster calls it, and partition."""
    return cast(str, message.topic()), cast(int, message.partition())


def offset_of(message: Message) -> int:
    """Of a message that is no error, so it has one."""
    return cast(int, message.offset())


class OffsetTracker:
    """Of each partition: how far it was taken, and which of its messages are still in hand."""

    def __init__(self) -> None:
        self._ends: dict[PartitionId, int] = {}
        self._stored: dict[PartitionId, int] = {}
        self._held: dict[PartitionId, set[int]] = defaultdict(set)

    def take(self, partition: PartitionId, offset: int) -> None:
        """This message and all before it were handed over."""
        # Offsets have gaps (transaction markers, compaction), so this is no count; and a repeat must not set it back.
        self._ends[partition] = max(self._ends.get(partition, 0), offset + 1)

    def hold(self, partition: PartitionId, offset: int) -> None:
        """This one is not finished: nothing from it on may be committed."""
        self._held[partition].add(offset)

    def release(self, partition: PartitionId, offset: int) -> None:
        """This one is finished."""
        self._held[partition].discard(offset)

    def to_store(self, assigned: Iterable[PartitionId]) -> list[TopicPartition]:
        """Offsets that have moved since the last call."""
        moved = [TopicPartition(*partition, end) for partition, end in self._safe() if partition in assigned]
        self._stored |= {(moved_to.topic, moved_to.partition): moved_to.offset for moved_to in moved}
        return moved

    def at_least(self, committed: Iterable[TopicPartition]) -> dict[PartitionId, int]:
        """Where each partition stands for the group: what is committed of it, or more if more has been stored since.

        Without those of which nothing is committed and nothing stored.
        """
        known = {(at.topic, at.partition): at.offset for at in committed}
        known = {partition: max(offset, self._stored.get(partition, -1)) for partition, offset in known.items()}
        return {partition: offset for partition, offset in known.items() if offset >= 0}

    def rewind(self, partition: PartitionId) -> int | None:
        """Forget what is in hand of a partition; returns the offset from which it must be fetched again, if any."""
        # From the lowest: those behind it that were done already come again, and the inbox knows them.
        start = min(self._held.pop(partition, set()), default=None)
        if start is not None:
            self._ends[partition] = start
        return start

    def forget(self, partitions: Iterable[PartitionId]) -> None:
        """These partitions belong to another member now, or start over."""
        for partition in partitions:
            for notes in (self._ends, self._stored, self._held):
                notes.pop(partition, None)

    def _safe(self) -> Iterator[tuple[PartitionId, int]]:
        for partition, end in self._ends.items():
            safe = min(self._held.get(partition) or (end,))
            # Never backwards: a commit that goes back would have the next owner handle what is done.
            if safe > self._stored.get(partition, -1):
                yield partition, safe
