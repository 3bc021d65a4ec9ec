"""Caches in the process, so that a rush does not query the database for each click: of small tables, and of rows."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
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


class TtlRows(Generic[T]):
    """Rows of a table that may be too big to be held, by key, each at most `max_age_seconds` old.

    What was asked for lately is loaded again together, so that a rush costs one query per half of that age, whatever
    it asks for. A key without a row is remembered as such. Safe to share between threads.

    `at_first` says which rows to hold from the beginning, so that they are known when the database is not there.
    """

    def __init__(
        self,
        load: Callable[[Collection[str]], Mapping[str, T]],
        *,
        max_age_seconds: float,
        keys_max: int,
        at_first: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._load = load
        self._at_first = at_first
        self._max_age_seconds = max_age_seconds
        self._keys_max = keys_max
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, T | None]] = {}
        self._asked: dict[str, float] = {}

    def get(self, keys: Collection[str]) -> dict[str, T]:
        """The rows that there are of these, by key.

        Raises:
            Exception: what `load` raised; the next call tries again.
        """
        now = time.monotonic()
        for key in keys:
            self._asked[key] = now
        age_seconds = now - self._oldest(keys)
        if age_seconds >= self._max_age_seconds:
            with self._lock:
                if now - self._oldest(keys) >= self._max_age_seconds / 2:  # unless another thread just has
                    self._reload(keys)
        elif age_seconds >= self._max_age_seconds / 2 and self._lock.acquire(blocking=False):
            try:
                self._reload(keys)
            finally:
                self._lock.release()
        return self.last_known(keys)

    def last_known(self, keys: Collection[str]) -> dict[str, T]:
        """Those that are held, of any age, for a page that must be shown without the database."""
        found = ((key, self._held.get(key)) for key in keys)
        return {key: held[1] for key, held in found if held is not None and held[1] is not None}

    def forget(self) -> None:
        """Drop all rows, after a change of them."""
        self._held = {}

    def _oldest(self, keys: Collection[str]) -> float:
        held = self._held
        return min((held[key][0] if key in held else -1.0 for key in keys), default=time.monotonic())

    def _reload(self, keys: Collection[str]) -> None:
        held, started = self._held, time.monotonic()
        lately = started - self._max_age_seconds
        wanted = {*keys, *(key for key, at in list(self._asked.items()) if at >= lately)}
        if not held:
            wanted.update(self._at_first())
        found = self._load(wanted)
        for key in wanted:
            held[key] = (started, found.get(key))
        for key in list(held)[: max(0, len(held) - self._keys_max)]:
            if key not in wanted:  # the ones that were first held go first
                held.pop(key, None)
        for key in [key for key, at in list(self._asked.items()) if at < lately]:
            self._asked.pop(key, None)
