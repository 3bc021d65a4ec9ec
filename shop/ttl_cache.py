"""Small tables kept in the process for a moment, so that a rush does not ask the database for each click."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TtlCache(Generic[T]):
    """What `load` returned, at most `max_age_seconds` old; safe to share between threads.

    One thread reloads when half of that time is over while the others keep what they have; only when
    it is over do they wait. An error of `load` reaches the caller, and the next call tries again.
    """

    def __init__(self, load: Callable[[], T], *, max_age_seconds: float) -> None:
        self._load = load
        self._max_age_seconds = max_age_seconds
        self._lock = threading.Lock()
        self._held: tuple[float, T] | None = None

    def get(self) -> T:
        """The table; reads the database at most once per half of the allowed age."""
        held = self._held
        if held is not None:
            age_seconds = time.monotonic() - held[0]
            if age_seconds < self._max_age_seconds / 2:
                return held[1]
            if age_seconds < self._max_age_seconds:
                return self._reload_unless_another_thread_does(held[1])
        with self._lock:
            fresh = self._held
            if fresh is not None and fresh is not held:
                return fresh[1]
            return self._reload()

    def last_known(self) -> T:
        """The table however old it is, for a page that must be shown although the database is away."""
        held = self._held
        return held[1] if held is not None else self.get()

    def forget(self) -> None:
        """Read anew on the next call: for code that has just changed what the table is made of."""
        self._held = None

    def _reload_unless_another_thread_does(self, held: T) -> T:
        if not self._lock.acquire(blocking=False):
            return held
        try:
            return self._reload()
        finally:
            self._lock.release()

    def _reload(self) -> T:
        started = time.monotonic()
        value = self._load()
        self._held = (started, value)
        return value
