"""Child processes that are kept running: what the supervisors share.

`supervision.py` runs consumers with it, and the local demo its services and roles. How a child is started, and by which
signals it is stopped, is theirs; when it is started again, and how all of them are stopped together, is here.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kafka_bridge.runtime import backoff

Process = subprocess.Popen[bytes]


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """How long a child that ended by itself is left alone before it is started again."""

    first_seconds: float
    longest_seconds: float
    healthy_seconds: float
    """One that has lived for so long begins with the first pause once more."""


@dataclass
class Child:
    """A process that runs, or is to run again when its pause is over."""

    name: str
    spawn: Callable[[], Process]
    restart: RestartPolicy
    process: Process | None = None
    failures: int = field(default=0, init=False)
    _started_at: float = field(default=0.0, init=False)
    _start_at: float = field(default=0.0, init=False)

    def start(self) -> Process:
        """Start it now."""
        self.process, self._started_at = self.spawn(), time.monotonic()
        return self.process

    def start_if_due(self) -> None:
        """Start it where it does not run and its pause is over."""
        if self.process is None and time.monotonic() >= self._start_at:
            self.start()

    def exit_code(self) -> int | None:
        """How it ended; None while it runs, or where its end has been noted."""
        return None if self.process is None else self.process.poll()

    def note_end(self) -> float:
        """It ended by itself: forget the process. Returns the seconds after which `start_if_due` starts it again."""
        lived = time.monotonic() - self._started_at
        self.failures = 1 if lived > self.restart.healthy_seconds else self.failures + 1
        pause = backoff.exponential(
            self.failures, first_seconds=self.restart.first_seconds, longest_seconds=self.restart.longest_seconds
        )
        self.process, self._start_at = None, time.monotonic() + pause
        return pause


def stop_together(
    processes: Sequence[Process],
    *,
    within_seconds: float,
    ask: Callable[[Process], None],
    end: Callable[[Process], None],
) -> int:
    """Ask all of them to stop at once, wait, and end each; returns how many were still there when time was up.

    `ask` sends the signal that stops one cleanly; with no time at all nothing is asked. `end` is called for each,
    whether it has stopped or not: it kills what is left of it, and clears up.
    """
    deadline, late = time.monotonic() + within_seconds, 0
    if within_seconds > 0:
        # All before the first is waited for: so they stop side by side, in the time of the slowest.
        for process in processes:
            if process.poll() is None:
                ask(process)
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            late += 1
        end(process)
    return late
