"""What this process does now: noted by whoever does it, told by its heartbeats.

Everything here is a plain assignment, so that loops may note each of their turns.
"""

import time
from dataclasses import dataclass
from typing import Literal

State = Literal["starting", "working", "standing by", "waiting", "paused", "stopping"]
MAIN = "main"
"""The loop without which the process is none."""


@dataclass(frozen=True, slots=True)
class DependencyUse:
    """How something outside answered when it was used last; times in seconds since the epoch."""

    is_ok: bool
    since: float
    error: str
    answer_seconds: float | None


class Activity:
    """Of one process; any thread may write, and any may read."""

    def __init__(self) -> None:
        self.role = ""
        self.instance = ""
        """Unique among all that ever ran; empty until heartbeats begin."""
        self.state: State = "starting"
        self.doing = ""
        """In a few words for people."""
        self.progressed_at: float | None = None
        """When something was last finished: a batch, a request, a job."""
        self.member_ids: dict[str, str] = {}
        """By group, without its prefix."""
        self._turned_at: dict[str, float] = {}
        self._uses: dict[str, DependencyUse] = {}

    def say(self, state: State, doing: str = "") -> None:
        """What it does from now on."""
        self.state, self.doing = state, doing

    def turn(self, loop: str = MAIN) -> None:
        """A loop comes round; one that does not for long hangs, though the process lives."""
        self._turned_at[loop] = time.time()

    def end_turns(self, loop: str) -> None:
        """This loop has ended, as it should."""
        self._turned_at.pop(loop, None)

    def progress(self) -> None:
        """Something was finished."""
        self.progressed_at = time.time()

    def note_use(self, name: str, *, error: str = "", answer_seconds: float | None = None) -> None:
        """Something outside was used; with an error if it could not be. No addresses and no passwords in it."""
        before = self._uses.get(name)
        is_ok = not error
        is_new = before is None or before.is_ok != is_ok
        if before is not None and is_ok and answer_seconds is None:
            answer_seconds = before.answer_seconds
        since = time.time() if before is None or is_new else before.since
        self._uses[name] = DependencyUse(is_ok, since, error, answer_seconds)

    @property
    def turned_at(self) -> float | None:
        """When the loop that is the most behind came round; None where there is none."""
        return min(list(self._turned_at.values()), default=None)

    @property
    def uses(self) -> dict[str, DependencyUse]:
        """By name, what is outside."""
        return dict(self._uses)


current = Activity()
"""This process's."""
