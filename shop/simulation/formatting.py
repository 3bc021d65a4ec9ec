"""The sale and its figures in words."""

import math
from collections.abc import Sequence

from shop.simulation.buyers import SalePlan


def headline(plan: SalePlan) -> str:
    """The sale in one line."""
    books = "" if plan.books == 1 else f" of each of {plan.books} books, baskets of {plan.basket}"
    flow = plan.flow.replace("_", " ")
    return f"{many(plan.buyers, 'buyer')}, {many(plan.units, 'unit')}{books}, {flow}, seed {plan.seed}"


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that is not below `percent` (0 to 100) of all (nearest rank); None where there are none."""
    if not values:
        return None
    return sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]


def many(count: int, noun: str) -> str:
    """Such as `1 buyer`, `5,000 buyers`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def number(value: int) -> str:
    """With commas."""
    return f"{value:,}"


def pair(first: float | None, second: float | None) -> str:
    """Two times in milliseconds."""
    return f"{ms(first)} / {ms(second)}"


def ms(value: float | None) -> str:
    """A time in milliseconds."""
    return "-" if value is None else f"{value:,.0f} ms"
