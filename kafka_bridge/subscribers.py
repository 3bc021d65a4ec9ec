"""Everything that `run_consumer` can run: the apps' groups, and the one that stores what those gave up on."""

import threading
from collections.abc import Callable
from typing import Protocol

from kafka_bridge import dead_letter_group, registry, runner
from kafka_bridge.events import Topic
from kafka_bridge.registry import Work


class Subscriber(Protocol):
    """A consumer group of ours, as those see it who start it, list it, or watch its lag."""

    name: str
    workers: list[Work]

    @property
    def topics(self) -> list[Topic]:
        """What it subscribes to, by name."""
        ...


class Member(Protocol):
    """One member of a group. `run` may be called once, and returns when it was told to stop."""

    handled: int
    duplicates: int
    dead: int

    def run(self) -> None:
        """Consume until told to stop."""
        ...


def every() -> list[Subscriber]:
    """All of them: the apps' groups by name, then the dead letters."""
    return [*registry.groups(), dead_letter_group.GROUP]


def find(name: str) -> Subscriber:
    """The one of that name.

    Raises:
        LookupError: there is none; the message lists those there are.
    """
    by_name = {subscriber.name: subscriber for subscriber in every()}
    try:
        return by_name[name]
    except KeyError:
        raise LookupError(f"no consumer group {name!r}; there are: {', '.join(sorted(by_name))}") from None


def member(subscriber: Subscriber, stop: threading.Event, *, after_commit: Callable[[], None]) -> Member:
    """A new member of this group; it calls `after_commit` whenever there may be something for the group's workers."""
    if isinstance(subscriber, registry.Group):
        return runner.Runner(subscriber, stop, after_commit=after_commit)
    return dead_letter_group.Reader(stop)
