"""What PostgreSQL has of the last day, as the charts call it: they begin with it when a process starts."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.db import connection

from shop.operations.overview import samples
from shop.operations.pages.charts import Point, Series
from shop.operations.pages.recent import KEEP_THINNED, THINNED_SECONDS

_OF_GROUPS = {
    "age_seconds": "lag_seconds", "lag": "lag_messages", "handled_per_second": "handled", "p95_seconds": "p95_seconds",
}  # fmt: skip
_OF_THE_OUTBOX = {"outbox.rows": ("outbox_rows", "outbox"), "outbox.oldest_seconds": ("outbox_seconds", "outbox")}


def read() -> Sequence[Series]:
    """A point a minute of each series that charts show; the highest of each minute.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    found: defaultdict[tuple[str, str], list[Point]] = defaultdict(list)
    since = datetime.now(UTC) - timedelta(seconds=KEEP_THINNED * THINNED_SECONDS)
    try:
        for at, values in samples.read_maxima(since):
            for name, value in values.items():
                if (key := _chart_of(name)) is not None:
                    found[key].append((at.timestamp(), value))
    finally:
        connection.close()
    return [Series(*key, points) for key, points in sorted(found.items())]


def _chart_of(series: str) -> tuple[str, str] | None:
    """Figure and name, such as `lag_seconds` of `shipping`; None where no chart shows it."""
    kind, _, rest = series.partition(".")
    name, _, figure = rest.rpartition(".")
    if kind == "group" and figure in _OF_GROUPS:
        return _OF_GROUPS[figure], name
    if kind == "topic" and figure == "written_per_second":
        return "written", name
    return _OF_THE_OUTBOX.get(series)
