"""Several servers asked at the same time, so that one that hangs keeps nobody waiting for longer than was said."""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Questions(Generic[K, T]):
    """Each is asked by a thread of its own. One that still hangs is not asked again meanwhile."""

    def __init__(self, what: str) -> None:
        """`what` is asked for, in the words of the log."""
        self._what = what
        self._asked: dict[K, _Question[T]] = {}
        self._failing: set[K] = set()

    def ask(self, calls: Mapping[K, Callable[[], T]]) -> None:
        """Begin to ask; `answers` waits."""
        hanging = {key: asked for key, asked in self._asked.items() if asked.is_alive()}
        self._asked = hanging | {key: _Question(call) for key, call in calls.items() if key not in hanging}
        for key, question in self._asked.items():
            if key not in hanging:
                question.start()

    def answers(self, *, until: float) -> dict[K, T]:
        """Those that were there by then (monotonic clock); whoever failed has none, which is logged as it begins."""
        for question in self._asked.values():
            question.join(max(0.0, until - time.monotonic()))
        found: dict[K, T] = {}
        for key, question in self._asked.items():
            if question.is_alive() or question.answer is None:
                self._note_failure(key, question.error)
            else:
                self._failing.discard(key)
                found[key] = question.answer
        return found

    def _note_failure(self, key: K, error: Exception | None) -> None:
        if key not in self._failing:
            self._failing.add(key)
            log.warning("%s of %s cannot be read: %s", self._what, key, error or "no answer in time")


class _Question(threading.Thread, Generic[T]):
    """One call."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(name="question", daemon=True)
        self._call = call
        self.answer: T | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        # What a stranger answers may fail in any way.
        try:
            self.answer = self._call()
        except Exception as error:
            self.error = error
