"""What each role does on the brokers, as the registry has it; `acls.py` brings it there.

# Note [Least rights]
A right that is not listed is not needed, and was tried: an idempotent producer needs nothing beyond WRITE on its topics
(brokers from 2.8 on), READ and WRITE include DESCRIBE, and whoever only asks which brokers there are needs no right.
Nobody but the relay writes to a topic of events. It publishes what all apps state, so it may write to all of these
topics, and reads none; which app may state what is for the rights in PostgreSQL to say, where facts are stated. A topic
of facts that may be lost has one role that writes to it (`Topic.written_by`), and the relay does not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from kafka_bridge.consuming import consumer_groups, registry
from kafka_bridge.runtime import clients, topics
from kafka_bridge.wire import event_types

RELAY, TIMEKEEPER, OPERATOR = "relay", "timekeeper", "operator"
Resource = Literal["topic", "group"]
Operation = Literal["READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"]


@dataclass(frozen=True, order=True)
class Right:
    """One operation that a role may do; names as the cluster has them, with their prefixes."""

    role: str
    resource: Resource
    name: str
    operation: Operation


def names() -> list[str]:
    """Every role that has rights on the brokers."""
    return sorted({right.role for right in wanted()})


def wanted() -> set[Right]:
    """Every right of every role, and no other."""
    found = {
        right for topic in event_types.topics() for right in _topics(topic.written_by or RELAY, [topic.name], "WRITE")
    }
    for group in registry.groups():
        found |= set(_group_rights(group))
    found |= set(_dead_letter_rights())
    for observer in (TIMEKEEPER, OPERATOR, *clients.conf().observers):
        found |= set(_observer_rights(observer))
    # These look all the time, and hear there that something has moved.
    found |= {Right(observer, "topic", topics.OFFSETS, "READ") for observer in clients.conf().observers}
    return found | set(_operator_rights())


def _group_rights(group: registry.Group) -> Iterator[Right]:
    """Hears its topics, puts copies into its retry topics and hears them, gives up to its dead letter topics."""
    heard = [topic.name for topic in group.topics]
    retried = [topics.retry_topic_name(topic, group.name) for topic in heard]
    yield from _topics(group.name, [*heard, *retried], "READ")
    yield from _topics(group.name, retried, "WRITE")
    yield from _topics(group.name, (topics.dead_letter_topic_name(topic, group.name) for topic in heard), "WRITE")
    yield from _groups(group.name, (group.name, topics.retry_group_name(group.name)), "READ")


def _dead_letter_rights() -> Iterator[Right]:
    """Reads what all groups gave up, and brings what is sent again to their retry topics."""
    role = consumer_groups.DEAD_LETTERS.name
    yield from _topics(role, (topic.name for topic in consumer_groups.DEAD_LETTERS.topics), "READ")
    yield from _groups(role, (role,), "READ")
    yield from _topics(role, _retry_topics(), "WRITE")


def _observer_rights(role: str) -> Iterator[Right]:
    """Sees how far groups are behind. READ, because the age of a message stands in the message."""
    every = [topic.name for topic in topics.wanted()]
    yield from _topics(role, every, "READ")
    yield from _topics(role, every, "DESCRIBE_CONFIGS")
    yield from _groups(role, (group.name for group in consumer_groups.groups_with_lag()), "DESCRIBE")


def _operator_rights() -> Iterator[Right]:
    """Replays, moves offsets of any group, and sends dead letters again."""
    yield from _groups(OPERATOR, (group.name for group in consumer_groups.groups_with_lag()), "READ")
    yield from _topics(OPERATOR, _retry_topics(), "WRITE")


def _retry_topics() -> list[str]:
    return [
        topics.retry_topic_name(topic.name, group.name) for group in registry.groups() for topic in group.topics
    ]  # fmt: skip


def _topics(role: str, names: Iterable[str], operation: Operation) -> Iterator[Right]:
    for name in names:
        yield Right(role, "topic", clients.topic_name(name), operation)


def _groups(role: str, names: Iterable[str], operation: Operation) -> Iterator[Right]:
    for name in names:
        yield Right(role, "group", clients.conf().group_prefix + name, operation)
