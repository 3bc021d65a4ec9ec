"""Durations counted by how long they were, and percentiles out of that."""

from bisect import bisect_left
from collections.abc import Sequence

BUCKET_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
PERCENTILES = (0.5, 0.95, 0.99)


def index_of(seconds: float) -> int:
    """The bucket of a duration; the last one is for what took longer than all."""
    return bisect_left(BUCKET_SECONDS, seconds)


def between(before: Sequence[int], now: Sequence[int]) -> list[int]:
    """What came between two looks at the same buckets; all of `now` where `before` is empty or of an earlier life."""
    if len(before) != len(now) or any(b > n for b, n in zip(before, now, strict=True)):
        return list(now)
    return [n - b for b, n in zip(before, now, strict=True)]


def quantiles(counts: Sequence[int], wanted: Sequence[float] = PERCENTILES) -> list[float | None]:
    """Durations in seconds that such shares of the counted stayed below; None where nothing was counted.

    Within a bucket they are taken to be spread evenly, as Prometheus' `histogram_quantile` does; what took longer than
    the last limit is told as that limit.
    """
    total = sum(counts)
    return [_quantile(counts, share * total) if total else None for share in wanted]


def _quantile(counts: Sequence[int], rank: float) -> float:
    below = 0.0
    for index, count in enumerate(counts[: len(BUCKET_SECONDS)]):
        if count and below + count >= rank:
            start = BUCKET_SECONDS[index - 1] if index else 0.0
            return start + (BUCKET_SECONDS[index] - start) * (rank - below) / count
        below += count
    return BUCKET_SECONDS[-1]
