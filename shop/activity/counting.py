"""Counts that have not been sent yet: the same fact twice takes the room of one."""

import threading
from collections.abc import Mapping
from typing import NamedTuple

from kafka_bridge.publishing import lossy_publisher

FACTS_MAX = 1000
"""Different facts between two sendings. Words are anybody's to make up."""


class View(NamedTuple):
    """A page, by its kind and, if it is a book's, its ISBN."""

    page: str
    sku: str = ""


class Search(NamedTuple):
    """Words as they may be told, and how many books have them."""

    words: str
    found: int


class CartChange(NamedTuple):
    """A book in a cart: added, more, fewer or removed."""

    sku: str
    change: str


Fact = View | Search | CartChange


class Tally:
    """How often a fact was noted, and its copies all together."""

    __slots__ = ("copies", "times")

    def __init__(self) -> None:
        self.times = self.copies = 0


class Counts:
    """Facts and how often each was noted; for all threads, and none of them waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Fact, Tally] = {}

    def note(self, fact: Fact, copies: int = 0) -> None:
        """Count it; one that there is no room for is lost, and counted as that."""
        with self._lock:
            tally = self._found.get(fact)
            if tally is None:
                if len(self._found) >= FACTS_MAX:
                    lossy_publisher.LOST.labels(lossy_publisher.FULL).inc()
                    return
                tally = self._found[fact] = Tally()
            tally.times += 1
            tally.copies += copies

    def take(self) -> Mapping[Fact, Tally]:
        """All of them; from now on they are counted from zero."""
        with self._lock:
            found, self._found = self._found, {}
        return found
