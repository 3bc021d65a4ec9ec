"""A cache in the process for small tables, so that a rush does not query the database for each click."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TtlCache(Generic[T]):
    """The value that `load` returned, at most `max_age_seconds` old; safe to share between threads.

    At half of that age one thread reloads while the others use the old value; they wait only once it is too old.
    An error of `load` is raised to the caller, and the next call tries again.
    """

    def __init__(self, load: Callable[[], T], *, max_age_seconds: float) -> None:
        self._load = load
        self._max_age_seconds = max_age_seconds
        self._lock = threading.Lock()
        self._held: tuple[float, T] | None = None

    def get(self, load: Callable[[], T] | None = None) -> T:
        """The value; loads it (by `load`, if given) at most once per half of the maximum age."""
        load = load or self._load
        held = self._held
        if held is not None:
            age_seconds = time.monotonic() - held[0]
            if age_seconds < self._max_age_seconds / 2:
                return held[1]
            if age_seconds < self._max_age_seconds:
                return self._reload_unless_another_thread_does(held[1], load)
        with self._lock:
            fresh = self._held
            if fresh is not None and fresh is not held:
                return fresh[1]
            return self._reload(load)

    def last_known(self) -> T:
        """The value of any age, for a page that must be shown without the database."""
        held = self._held
        return held[1] if held is not None else self.get()

    def forget(self) -> None:
        """Drop the value, after a change of what it is made of."""
        self._held = None

    def _reload_unless_another_thread_does(self, held: T, load: Callable[[], T]) -> T:
        if not self._lock.acquire(blocking=False):
            return held
        try:
            return self._reload(load)
        finally:
            self._lock.release()

    def _reload(self, load: Callable[[], T]) -> T:
        started = time.monotonic()
        value = load()
        self._held = (started, value)
        return value
