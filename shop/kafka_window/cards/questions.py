"""Ten questions as interviewers ask them, each answered with what the running shop shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from kafka_bridge.monitoring.cluster_figures import GroupFigures, TopicFigures
from kafka_bridge.runtime import clients
from kafka_bridge.wire import partitioning
from shop.kafka_window.state import Window

TOPIC, GROUP = "orders.events", "inventory"


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answer, and the card or the page that shows it."""

    question: str
    answer: str
    here: str
    """What the shop shows of it now; empty where it cannot be read."""
    url: str


def questions(window: Window) -> Sequence[Question]:
    """All ten, with the shop's figures as they are."""
    kafka = window.kafka
    topic = next((each for each in kafka.topics if each.name == TOPIC), None) if kafka else None
    group = next((each for each in kafka.groups if each.name == GROUP), None) if kafka else None
    seen = _seen(topic, group, len(kafka.brokers) if kafka else 0) if topic and group else {}
    return [Question(question, answer, seen.get(name, ""), url) for name, question, answer, url in _QUESTIONS]


def _seen(topic: TopicFigures, group: GroupFigures, brokers: int) -> dict[str, str]:
    first, count = topic.partitions[0], len(topic.partitions)
    owned = ", ".join(str(len(member.partitions)) for member in group.members) or "none"
    choice = partitioning.choose(b"an-order", count)
    ends = ", ".join(str(each.end) for each in topic.partitions)
    size = f"{count} partition{'s' if count != 1 else ''}"
    return {
        "kafka": f"{TOPIC} holds {topic.messages} messages that were read long ago and are still there.",
        "partition": f"{TOPIC} has {size}; the next offsets are {ends}.",
        "group": f"{GROUP} has {len(group.members)} member(s), with so many partitions each: {owned}.",
        "fault": f"Partition 0 is led by broker {first.leader}; {len(first.in_sync)} of {len(first.replicas)} copies "
        f"are in sync, and {topic.min_in_sync} must have a message before it counts as written.",
        "order": "All events of an order have its id as their key, so they lie in one partition.",
        "pull": f"{GROUP} has asked for all but {group.messages} messages; nobody pushes those to it.",
        "which": f"CRC32(“an-order”) mod {count} = {choice.partition if choice else 0} for {TOPIC}.",
        "rebalance": f"{GROUP} is {group.state.lower()} now; its last changes of hands are on its page in operations.",
        "factor": f"New topics get {clients.conf().replication_factor} copie(s) here, on {brokers} broker(s).",
        "scale": f"Up to {count} members of {GROUP} could read {TOPIC} at once; one more would wait.",
    }


_QUESTIONS = (
    ("kafka", "What is Kafka?", "A cluster of servers that keeps logs of events. Many may write to them and read them, "
     "each at a pace of its own, and what was read stays.", "/kafka/"),
    ("partition", "What is a partition?", "One of the logs that a topic consists of: the unit of sequence, of "
     "parallel reading and of copying.", "/kafka/cards/#key"),
    ("group", "What is a consumer group?", "Readers with one name that share the partitions of a topic out among "
     "themselves. Each group gets all messages.", "/kafka/cards/#group"),
    ("fault", "How does it survive a broker's death?", "Each partition has copies on several brokers. One that is in "
     "sync becomes the leader, and what acks=all acknowledged is there.", "/kafka/cards/#cluster"),
    ("order", "Does it keep messages in sequence?", "Within a partition, yes; across partitions, no. So what must "
     "be in sequence gets the same key.", "/kafka/cards/#key"),
    ("pull", "Do brokers push, or do consumers pull?", "Consumers pull. One that is slow is not overrun; it gets "
     "lag.", "/kafka/cards/#lag"),
    ("which", "Which partition does a message go to?", "The hash of its key modulo the number of partitions; without a "
     "key, any.", "/kafka/cards/#key"),
    ("rebalance", "When is there a rebalance?", "When a member comes, leaves or falls silent, or when topics get "
     "partitions.", "/kafka/cards/#rebalance"),
    ("factor", "What is the replication factor?", "How many copies each partition has. With three and two that must be "
     "in sync, one broker may die and writing goes on.", "/kafka/cards/#acks"),
    ("scale", "How does one scale it?", "More partitions, and as many members in a group. A member more than there are "
     "partitions has nothing to do.", "/kafka/cards/#rebalance"),
)  # fmt: skip
