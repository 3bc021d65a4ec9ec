"""Breaks parts for a while, and undoes it."""

import itertools
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from devtools.demo_control.acts import ACTS, SECONDS_MAX, SECONDS_MIN, Act, Parts, Undo
from devtools.demo_control.channel import Refused
from devtools.local.errors import LocalError

log = logging.getLogger(__name__)
AT_ONCE_MAX = 3
_PAST_KEPT = 8


@dataclass(kw_only=True)
class Broken:
    """Something that is broken now, or was."""

    id: int
    act: Act
    target: str
    seconds: int
    undo: Undo
    until: float
    """By the monotonic clock."""
    began_at: float
    undone_at: float | None = None
    error: str = ""

    @property
    def words(self) -> str:
        """Such as `Freeze a part: inventory`."""
        return f"{self.act.title}: {self.target}" if self.target else self.act.title

    def as_object(self) -> dict[str, Any]:
        """For the page."""
        return {
            "id": self.id,
            "act": self.act.key,
            "target": self.target,
            "words": self.words,
            "undone": self.act.undone,
            "seconds": self.seconds if self.undone_at is None else round(self.undone_at - self.began_at),
            "left": max(0, round(self.until - time.monotonic())),
            "began_at": self.began_at,
            "undone_at": self.undone_at,
            "error": self.error,
        }


class Breaker:
    """Of the thread that supervises; `tick` a few times a second."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._now: dict[int, Broken] = {}
        self._past: deque[Broken] = deque(maxlen=_PAST_KEPT)
        self._numbers = itertools.count(1)

    def begin(self, key: str, target: str, seconds: int) -> Broken:
        """Break it.

        Raises:
            Refused: it makes no sense, or it is broken already.
        """
        act = next((each for each in ACTS if each.key == key), None)
        if act is None:
            raise Refused(f"There is no {key!r}; there are: {', '.join(each.key for each in ACTS)}.")
        if not SECONDS_MIN <= seconds <= SECONDS_MAX:
            raise Refused(f"Choose {SECONDS_MIN} to {SECONDS_MAX} seconds.")
        if not act.has_target:
            target = ""
        elif target not in self.parts.targets():
            raise Refused(f"There is no {target!r}; there are: {', '.join(self.parts.targets())}.")
        self._check_free(act, target)
        try:
            undo = act.begin(self.parts, target, seconds)
        except LookupError as error:
            raise Refused(f"{target} is not running just now; try again in a moment.") from error
        broken = Broken(
            id=next(self._numbers), act=act, target=target, seconds=seconds, undo=undo,
            until=time.monotonic() + seconds + act.grace_seconds, began_at=time.time(),
        )  # fmt: skip
        self._now[broken.id] = broken
        return broken

    def _check_free(self, act: Act, target: str) -> None:
        if len(self._now) >= AT_ONCE_MAX:
            raise Refused(f"{AT_ONCE_MAX} things are broken already; wait until one is undone.")
        for broken in self._now.values():
            if broken.target == target and (target or broken.act is act):
                raise Refused(f"{broken.words} is under way already.")

    def tick(self) -> None:
        """Undo what is due."""
        for broken in list(self._now.values()):
            if time.monotonic() >= broken.until:
                self.undo(broken.id)

    def undo(self, number: int) -> None:
        """Undo it now; what is not broken is left alone."""
        broken = self._now.pop(number, None)
        if broken is None:
            return
        try:
            broken.undo()
        except (Refused, LocalError, LookupError, OSError) as error:
            broken.error = str(error)
            log.warning("%s could not be undone: %s", broken.words, error)
        broken.undone_at = time.time()
        self._past.appendleft(broken)

    def as_object(self) -> dict[str, Any]:
        """For the page."""
        supervisor, targets = self.parts.supervisor, self.parts.targets()
        return {
            "now": [broken.as_object() for broken in self._now.values()],
            "past": [broken.as_object() for broken in self._past],
            "targets": targets,
            "not_running": [name for name in targets if not supervisor.is_running(self.parts.process(name))],
        }
