"""Waiting for a condition, with a deadline and an ear for being told to stop."""

import threading
import time
from collections.abc import Callable

NEVER = threading.Event()


class Stopped(Exception):
    """Told to stop while something was being waited for: leave, without a message."""


def until(condition: Callable[[], object], *, what: str, timeout_seconds: float, stop: threading.Event = NEVER) -> None:
    """Return as soon as the condition is true; it is asked every 50 ms.

    Raises:
        TimeoutError: it did not become true in time; the message says what was waited for.
        Stopped: `stop` was set meanwhile.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if stop.wait(0.05):
            raise Stopped
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took longer than {timeout_seconds:g} s")
