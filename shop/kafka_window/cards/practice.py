"""Topics, writers and readers of a card's own, on the shop's brokers. All that a card makes goes when it is through."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import NewTopic, TopicMetadata

from kafka_bridge.consuming.offset_tracker import offset_of
from kafka_bridge.runtime import clients

ANSWER_SECONDS = 25.0
POLL_SECONDS = 0.1
_NAME = "cards."


class TookTooLong(Exception):
    """The brokers did not do it in time: try the card again."""


class Practice:
    """One go at a card; a context manager."""

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex[:8]
        self._topics: list[str] = []
        self._readers = ExitStack()

    def __enter__(self) -> "Practice":
        sweep()
        return self

    def __exit__(self, *exc: object) -> None:
        self._readers.close()
        # Groups without members go by themselves, with what they have committed of topics that are gone.
        _delete(self._topics)

    def topic(self, *, partitions: int = 1, copies: int = 1) -> str:
        """Make a topic; returns its name on the cluster.

        Raises:
            KafkaException: the brokers refuse, or do not answer.
        """
        name = clients.topic_name(f"{_NAME}{self._id}.{len(self._topics)}")
        config = {"min.insync.replicas": "1"}
        admin = clients.admin()
        new = NewTopic(name, num_partitions=partitions, replication_factor=copies, config=config)
        admin.create_topics([new], request_timeout=ANSWER_SECONDS)[name].result(ANSWER_SECONDS)
        self._topics.append(name)
        # A broker that has just heard of it may still answer without it.
        self.until(lambda: _has_leaders(_topics().get(name), partitions), "the topic has leaders")
        return name

    def metadata(self, topic: str) -> TopicMetadata:
        """Leaders and copies of a topic, as the brokers say."""
        return _topics()[topic]

    def write(
        self,
        topic: str,
        messages: Iterable[tuple[str, str]],
        *,
        acks: str = "all",
        headers: Mapping[str, str] | None = None,
    ) -> list[Message]:
        """Write keys and bodies, in this sequence; returns them as the producer was told of them.

        Raises:
            KafkaException: the brokers do not take one.
        """
        told: list[Message] = []
        failed: list[Any] = []

        def note(error: Any, message: Message) -> None:
            (failed if error else told).append(error or message)

        producer = Producer(clients.common() | {"acks": acks, "linger.ms": 0})
        for key, body in messages:
            producer.produce(topic, body.encode(), key.encode(), headers=dict(headers or {}), on_delivery=note)
        producer.flush(ANSWER_SECONDS)
        if failed:
            raise KafkaException(failed[0])
        return told

    def group(self) -> str:
        """The name of a group that nobody has."""
        return f"{clients.conf().group_prefix}{_NAME}{uuid.uuid4().hex[:8]}"

    def reader(self, topic: str) -> Consumer:
        """A reader without a group, from the first message on."""
        found = self._consumer(self.group())
        found.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in self.metadata(topic).partitions])
        return found

    def outsider(self) -> Consumer:
        """A client that only asks."""
        return self._consumer(self.group())

    def member(self, group: str, topic: str) -> Consumer:
        """A member of a group; it gets partitions as soon as it is polled."""
        found = self._consumer(group)
        found.subscribe([topic])
        return found

    def read(self, consumer: Consumer, count: int) -> list[Message]:
        """So many messages.

        Raises:
            TookTooLong: they do not come.
        """
        found: list[Message] = []
        self.until(lambda: len(self._more(consumer, found, count)) >= count, f"{count} messages")
        return found

    def read_together(self, members: Sequence[Consumer], count: int) -> list[list[Message]]:
        """So many messages by all of them together; by member, in their sequence.

        Raises:
            TookTooLong: they do not come.
        """
        found: list[list[Message]] = [[] for _ in members]

        def are_all_there() -> bool:
            for member, own in zip(members, found, strict=True):
                self._more(member, own, len(own) + count)
            return sum(map(len, found)) >= count

        self.until(are_all_there, f"{count} messages")
        return found

    def until_assigned(self, members: Sequence[Consumer], *partitions: int) -> None:
        """Until each of them has so many partitions.

        Raises:
            TookTooLong: they do not get them.
        """

        def have() -> bool:
            for member in members:
                member.consume(1, POLL_SECONDS)
            return [len(member.assignment()) for member in members] == list(partitions)

        self.until(have, "the partitions were shared out")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Until it holds.

        Raises:
            TookTooLong: it does not.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise TookTooLong(f"Waited {ANSWER_SECONDS:.0f} s until {what}; try it again.")
            time.sleep(0.02)

    def leave(self, member: Consumer) -> None:
        """Close this reader now; a second time changes nothing."""
        member.close()

    @staticmethod
    def commit(consumer: Consumer, topic: str, offset: int) -> None:
        """Commit this as the next offset of partition 0."""
        consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)

    @staticmethod
    def committed(consumer: Consumer, topic: str) -> int:
        """What its group has committed of partition 0, as the broker says."""
        [found] = consumer.committed([TopicPartition(topic, 0)], timeout=ANSWER_SECONDS)
        return int(found.offset)

    @staticmethod
    def ends(consumer: Consumer, topic: str) -> tuple[int, int]:
        """The first offset of partition 0 and the next one, as the broker says."""
        start, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=ANSWER_SECONDS)
        return int(start), int(end)

    def delete_before(self, topic: str, offset: int) -> None:
        """Have the broker delete what lies before this offset of partition 0, as retention does."""
        place, admin = TopicPartition(topic, 0, offset), clients.admin()  # it answers only while it has a name
        admin.delete_records([place], request_timeout=ANSWER_SECONDS)[place].result(ANSWER_SECONDS)

    def _more(self, consumer: Consumer, found: list[Message], count: int) -> list[Message]:
        came = consumer.consume(max(1, count - len(found)), POLL_SECONDS)
        found += [message for message in came if message.error() is None]
        return found

    def _consumer(self, group: str) -> Consumer:
        made = Consumer(
            clients.common()
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "range",
                "session.timeout.ms": 6000,
                "heartbeat.interval.ms": 300,
                "topic.metadata.refresh.interval.ms": 1000,
            }
        )
        self._readers.callback(made.close)
        return made


def offsets(messages: Iterable[Message]) -> list[int]:
    """Their offsets."""
    return [offset_of(message) for message in messages]


def sweep() -> None:
    """Delete what cards have left that were cut short: one card is played at a time."""
    present = clients.admin().list_topics(timeout=ANSWER_SECONDS).topics
    _delete([name for name in present if name.startswith(clients.topic_name(_NAME))])


def _delete(names: Sequence[str]) -> None:
    if names:
        admin = clients.admin()
        for future in admin.delete_topics(list(names), request_timeout=ANSWER_SECONDS).values():
            future.exception(ANSWER_SECONDS)  # one that is gone already is as good


def _topics() -> dict[str, TopicMetadata]:
    return clients.admin().list_topics(timeout=ANSWER_SECONDS).topics


def _has_leaders(topic: TopicMetadata | None, partitions: int) -> bool:
    if topic is None or len(topic.partitions) != partitions:
        return False
    return all(each.leader >= 0 for each in topic.partitions.values())
