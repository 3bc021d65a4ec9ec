"""How long to wait before the next attempt: the one place in which pauses grow, and are spread."""

import random

QUARTER = 0.25


def exponential(attempt: int, *, first_seconds: float, longest_seconds: float, jitter: float = 0.0) -> float:
    """Seconds to wait after the `attempt`-th failure (from 1): doubling, with a ceiling; `jitter` as in `spread`."""
    # The exponent has a ceiling of its own: after a night of failures the power would be no float any more.
    return spread(min(longest_seconds, first_seconds * 2 ** min(attempt - 1, 30)), jitter)


def spread(seconds: float, jitter: float = QUARTER) -> float:
    """That share more or less, at random, so that what failed together does not come back together."""
    return seconds * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311 - jitter, not a secret
