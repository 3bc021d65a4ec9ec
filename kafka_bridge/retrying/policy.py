"""How often a message whose handler raises is tried, and when.

# Note [Rounds]
A handler that raises is tried some times in its place, with short pauses; that is the first round. Then the message is
parked (see Note [Sequence behind a failure] in `models.py`), and a copy of it goes to the group's retry topic, with the
time at which it is due. Each further round is one attempt. After the last one it goes to the dead letters.
"""

from dataclasses import dataclass

from kafka_bridge.runtime import backoff
from kafka_bridge.runtime.conf import BridgeSettings


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and when a message whose handler raises is tried again; times in seconds. See Note [Rounds]."""

    attempts: int = 3
    """In its place, before it is parked."""
    backoff_seconds: float = 0.2
    """Pause before the second attempt in its place; it doubles with each further one."""
    delays_seconds: tuple[float, ...] = (5.0, 30.0, 120.0)
    """Pauses before the attempts that follow, from the retry topic; none: straight to the dead letters."""

    def pause(self, tried: int) -> float | None:
        """Seconds to the next attempt in its place, after so many; None: no further one there."""
        if tried >= self.attempts:
            return None
        return backoff.exponential(
            tried, first_seconds=self.backoff_seconds, longest_seconds=60, jitter=backoff.QUARTER
        )

    def delay(self, rounds: int) -> float | None:
        """Seconds to the next round, after so many; None: it was the last one."""
        if rounds > len(self.delays_seconds):
            return None
        return backoff.spread(self.delays_seconds[rounds - 1])

    @property
    def longest_delay_seconds(self) -> float:
        """The longest of the pauses between rounds."""
        return max(self.delays_seconds, default=0.0) * (1 + backoff.QUARTER)

    def __str__(self) -> str:
        rounds = ", ".join(f"{delay:g}" for delay in self.delays_seconds)
        return f"{self.attempts} in place" + (f", then after {rounds} s" if rounds else "")


def from_settings(options: BridgeSettings) -> RetryPolicy:
    """The policy of handlers and groups that do not say otherwise."""
    return RetryPolicy(
        attempts=options.attempts,
        backoff_seconds=options.backoff_seconds,
        delays_seconds=options.retry_delays_seconds,
    )
