"""Waiting for a condition, with a deadline and an ear for being told to stop."""

import threading
import time
from collections.abc import Callable

NEVER = threading.Event()
# One that is costly to evaluate takes no more than a tenth of the time, unless it takes longer than this.
_SHARE = 10
_LONGEST_PAUSE_SECONDS = 0.5


class Stopped(Exception):
    """Told to stop while something was being waited for: leave, without a message."""


def until(
    condition: Callable[[], object],
    *,
    what: str,
    timeout_seconds: float,
    stop: threading.Event = NEVER,
    every_seconds: float = 0.05,
) -> None:
    """Return as soon as the condition is true; it is evaluated every 50 ms, or as often as is said, and more seldom
    where that alone would keep a core busy.

    Raises:
        TimeoutError: it did not become true in time; the message says what was waited for.
        Stopped: `stop` was set meanwhile.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        asked = time.monotonic()
        if condition():
            return
        costly = min(_SHARE * (time.monotonic() - asked), _LONGEST_PAUSE_SECONDS)
        if stop.wait(max(every_seconds, costly)):
            raise Stopped
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {timeout_seconds:g} s")
