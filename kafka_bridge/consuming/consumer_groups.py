"""Everything that `run_consumer` can run: the apps' groups, and the one that stores what those gave up on."""

from typing import Protocol

from kafka_bridge.consuming import registry
from kafka_bridge.runtime import topics
from kafka_bridge.wire.events import Topic


class Subscriber(Protocol):
    """A consumer group of ours, as those see it who start it, list it, or watch its lag."""

    name: str

    @property
    def topics(self) -> list[Topic]:
        """What it subscribes to, by name."""
        ...


class DeadLetterGroup:
    """The group that reads the dead letter topics of all groups; `consumer.py` says how."""

    def __init__(self) -> None:
        self.name = "dead_letters"

    @property
    def topics(self) -> list[Topic]:
        """Every dead letter topic there is, by name."""
        return topics.dead_letter_topics()


DEAD_LETTERS = DeadLetterGroup()


class RetryGroup:
    """The Kafka group of a group's retry consumers: it is not started by name, but it has a lag of its own."""

    def __init__(self, group: registry.Group) -> None:
        self.name = topics.retry_group_name(group.name)
        self._group = group

    @property
    def topics(self) -> list[Topic]:
        """The retry topics of what the group hears, by name."""
        return [topics.retry_topic(topic.name, self._group.name) for topic in self._group.topics]


def all_groups() -> list[Subscriber]:
    """All of them: the apps' groups by name, then the dead letters."""
    return [*registry.groups(), DEAD_LETTERS]


def groups_with_lag() -> list[Subscriber]:
    """All that have a lag: those that can be run, each app's group followed by that of its retry topics."""
    return [each for group in registry.groups() for each in (group, RetryGroup(group))] + [DEAD_LETTERS]


def find(name: str) -> Subscriber:
    """The one of that name among those that can be run.

    Raises:
        LookupError: there is none; the message lists those there are.
    """
    return _find(name, all_groups())


def find_with_lag(name: str) -> Subscriber:
    """The one of that name among those that have a lag.

    Raises:
        LookupError: there is none; the message lists those there are.
    """
    return _find(name, groups_with_lag())


def _find(name: str, among: list[Subscriber]) -> Subscriber:
    by_name = {subscriber.name: subscriber for subscriber in among}
    try:
        return by_name[name]
    except KeyError:
        raise LookupError(f"no consumer group {name!r}; there are: {', '.join(by_name)}") from None
