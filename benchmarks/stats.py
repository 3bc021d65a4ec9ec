"""The few figures that describe many."""

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not below `percent` (0 to 100) of all values (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def mean_of_fastest(values: Sequence[float], percent: float) -> float:
    """The mean of the smallest `percent` (above 0, to 100) of all values: the few that were disturbed do not count.

    Raises:
        ValueError: there are no values.
    """
    limit = percentile(values, percent)
    return statistics.mean(value for value in values if value <= limit)


def spread_percent(runs: Sequence[float]) -> float:
    """How far the runs lie apart: (largest - smallest) / median, in percent; 0 for a single run or a median of 0."""
    middle = statistics.median(runs)
    return 100 * (max(runs) - min(runs)) / middle if middle else 0.0
