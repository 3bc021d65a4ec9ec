"""Groups that stand still: there is something to read, and the offset does not move.

A member may be in its group, keep its heartbeat, and do nothing: in a call that never returns, after joins and leaves
that went wrong, or behind something that is away. None of that is seen in the group's state; it is seen here.
"""

import time
from collections.abc import Callable, Sequence

from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.monitoring.groups.lag import PartitionLag

_GroupPartition = tuple[str, PartitionId]


class StallDetector:
    """Remembers since when each group's offset is where it is, from one sample to the next."""

    def __init__(self, *, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        """A group that has not moved for so long stands still."""
        self.seconds = seconds
        self._now = now
        self._since: dict[_GroupPartition, tuple[int | None, float]] = {}

    def find_stalled(self, found: Sequence[PartitionLag]) -> list[PartitionLag]:
        """Those of these partitions that stand still now. Call it more often than `seconds`."""
        now, before, stuck = self._now(), self._since, list[PartitionLag]()
        self._since = {}
        for row in filter(_should_move, found):
            committed, since = before.get(_partition_of(row), (row.committed, now))
            self._since[_partition_of(row)] = row.committed, since if committed == row.committed else now
            if now - self._since[_partition_of(row)][1] >= self.seconds:
                stuck.append(row)
        return stuck

    def stalled_seconds(self, row: PartitionLag) -> float:
        """For how long this partition had not moved when it was looked at last; 0 while it moves."""
        since = self._since.get(_partition_of(row))
        return 0.0 if since is None else max(0.0, self._now() - since[1])

    def forget(self) -> None:
        """There was no sample: which groups have moved meanwhile is not known."""
        self._since.clear()


def _should_move(row: PartitionLag) -> bool:
    """There is something to read, nobody paused it, and it is no copy that waits for its time on purpose."""
    return row.messages > 0 and not row.paused_by and not row.topic.endswith(".retry")


def _partition_of(row: PartitionLag) -> _GroupPartition:
    return row.group, (row.topic, row.partition)
