"""What the figures were in the last day, kept in memory: charts that need no PostgreSQL once they have begun.

The last hour is kept with every look, the rest with one a minute.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from shop.operations.overview.figures import Overview
from shop.operations.pages.charts import Point, Series

EVERY_SECONDS = 5.0
KEEP = 720
"""An hour."""
THINNED_SECONDS, KEEP_THINNED = 60.0, 1440
"""A day."""
SERIES_MAX = 200


class Recent:
    """The last values of each figure, by its name and whose it is."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, str], deque[Point]] = {}
        self._thinned: dict[tuple[str, str], deque[Point]] = {}
        self._noted_at = self._thinned_at = 0.0

    def note(self, overview: Overview) -> None:
        """Remember these figures, if the last ones are old enough."""
        at = overview.at.timestamp()
        if at - self._noted_at < EVERY_SECONDS:
            return
        self._noted_at = at
        is_kept_long = at - self._thinned_at >= THINNED_SECONDS
        if is_kept_long:
            self._thinned_at = at
        for figure, name, value in _figures(overview):
            if (figure, name) not in self._points and len(self._points) >= SERIES_MAX:
                continue
            self._points.setdefault((figure, name), deque(maxlen=KEEP)).append((at, value))
            if is_kept_long:
                self._thinned.setdefault((figure, name), deque(maxlen=KEEP_THINNED)).append((at, value))

    def put_before(self, stored: Iterable[Series]) -> None:
        """What was stored before the first look."""
        for one in list(stored)[:SERIES_MAX]:
            key = one.figure, one.name
            known = self._thinned.get(key, ())
            first = known[0][0] if known else math.inf
            older = [point for point in one.points if point[0] < first]
            self._thinned[key] = deque([*older, *known], maxlen=KEEP_THINNED)

    def series(self) -> Sequence[Series]:
        """All that is remembered."""
        return [Series(*key, self._all_of(key)) for key in sorted(self._points)]

    def _all_of(self, key: tuple[str, str]) -> list[Point]:
        recent = self._points[key]
        return [point for point in self._thinned.get(key, ()) if point[0] < recent[0][0]] + list(recent)


def _figures(overview: Overview) -> Iterator[tuple[str, str, float | None]]:
    kafka, database = overview.kafka, overview.database
    if kafka.value is not None:
        for group in kafka.value.groups:
            is_told = not kafka.error
            yield "lag_seconds", group.name, group.seconds if is_told else None
            yield "lag_messages", group.name, float(group.messages) if is_told else None
            yield "handled", group.name, group.rates.handled_per_second if is_told else None
            yield "p95_seconds", group.name, group.rates.p95_seconds if is_told else None
        for topic in kafka.value.topics:
            yield "written", topic.name, topic.written_per_second if not kafka.error else None
    if database.value is not None:
        is_told = not database.error
        yield "outbox_rows", "outbox", float(database.value.outbox.rows) if is_told else None
        yield "outbox_seconds", "outbox", database.value.outbox.oldest_seconds if is_told else None
