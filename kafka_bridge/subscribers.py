"""Everything that `run_consumer` can run: the apps' groups, and the one that stores what those gave up on."""

from typing import Protocol

from kafka_bridge import registry, topics
from kafka_bridge.events import Topic


class Subscriber(Protocol):
    """A consumer group of ours, as those see it who start it, list it, or watch its lag."""

    name: str

    @property
    def topics(self) -> list[Topic]:
        """What it subscribes to, by name."""
        ...


class DeadLetterGroup:
    """The group that reads the dead letter topics of all groups; `dead_letter_group.py` says how."""

    def __init__(self) -> None:
        self.name = "dead_letters"

    @property
    def topics(self) -> list[Topic]:
        """Every dead letter topic there is, by name."""
        return topics.dead_letter_topics()


DEAD_LETTERS = DeadLetterGroup()


def every() -> list[Subscriber]:
    """All of them: the apps' groups by name, then the dead letters."""
    return [*registry.groups(), DEAD_LETTERS]


def find(name: str) -> Subscriber:
    """The one of that name.

    Raises:
        LookupError: there is none; the message lists those there are.
    """
    by_name = {subscriber.name: subscriber for subscriber in every()}
    try:
        return by_name[name]
    except KeyError:
        raise LookupError(f"no consumer group {name!r}; there are: {', '.join(by_name)}") from None
