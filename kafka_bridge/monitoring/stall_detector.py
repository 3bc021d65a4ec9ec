"""Groups that stand still: there is something to read, and the offset does not move.

A member may be in its group, keep its heartbeat, and do nothing: in a call that never returns, after joins and leaves
that went wrong, or behind something that is away. None of that is seen in the group's state; it is seen here.
"""

import time
from collections.abc import Callable, Sequence

from kafka_bridge.monitoring.lag import Lag, Partition

_Place = tuple[str, Partition]


class StallDetector:
    """Remembers since when each group's offset is where it is, from one look to the next."""

    def __init__(self, *, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        """Who has not moved for so long stands still."""
        self.seconds = seconds
        self._now = now
        self._since: dict[_Place, tuple[int | None, float]] = {}

    def look(self, found: Sequence[Lag]) -> list[Lag]:
        """Those of these partitions that stand still now. Look more often than `seconds`."""
        now, before, stuck = self._now(), self._since, list[Lag]()
        self._since = {}
        for row in filter(_should_move, found):
            committed, since = before.get(_place(row), (row.committed, now))
            self._since[_place(row)] = row.committed, since if committed == row.committed else now
            if now - self._since[_place(row)][1] >= self.seconds:
                stuck.append(row)
        return stuck

    def forget(self) -> None:
        """There was no look: nobody can say who has moved meanwhile."""
        self._since.clear()


def _should_move(row: Lag) -> bool:
    """There is something to read, and no copy that waits for its time on purpose."""
    return row.messages > 0 and not row.topic.endswith(".retry")


def _place(row: Lag) -> _Place:
    return row.group, (row.topic, row.partition)
