"""The last messages of many partitions, kept up to date by a consumer that is no member of any group.

It is assigned its partitions and commits nothing, so the groups at work do not notice it.
"""

import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from kafka_bridge.consuming import unreadable_batches
from kafka_bridge.consuming.offset_tracker import PartitionId, offset_of, partition_of
from kafka_bridge.runtime import clients
from kafka_bridge.wire import message_headers

BODY_BYTES_MAX = 16 * 1024
"""Of a longer body only the beginning is kept."""
HEADERS_MAX = 64
HEADER_BYTES_MAX = 1024
KEY_BYTES_MAX = 1024
_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """One message as it lies in its partition; see the limits above for what is cut."""

    topic: str
    """Without the prefix."""
    partition: int
    offset: int
    key: bytes
    body: bytes
    body_bytes: int
    """How long the body is, whatever was kept of it."""
    headers: tuple[tuple[str, bytes], ...]
    at: datetime | None
    """The record's timestamp: when the producer wrote it."""

    def header(self, name: str) -> str:
        """A header's text; empty where there is none."""
        return next((value.decode(errors="replace") for found, value in self.headers if found == name), "")


class LogTail:
    """Follows partitions from their ends on. For one thread; it holds `kept` messages of each and no more."""

    def __init__(self, *, kept: int) -> None:
        self._kept = kept
        self._consumer: Consumer | None = None
        self._entries: dict[PartitionId, deque[LogEntry]] = {}

    def follow(self, ends: Mapping[PartitionId, tuple[int, int]]) -> bool:
        """From now on these partitions (as the cluster calls them), each from its last messages on.

        `ends` are the first offset that is kept, and that of the next message. Those that are followed already go on;
        returns whether there are others.
        """
        new = ends.keys() - self._entries.keys()
        if self._consumer is None:
            self._consumer = reader()
        if new:
            self._consumer.incremental_assign(
                [TopicPartition(*each, max(ends[each][0], ends[each][1] - self._kept)) for each in sorted(new)]
            )
            self._entries |= {each: deque(maxlen=self._kept) for each in new}
        return bool(new)

    def poll(self, seconds: float) -> int:
        """Take what has come, waiting so long for the first of it; returns how many messages that were.

        Raises:
            KafkaException: the client is beyond repair.
        """
        if self._consumer is None:
            return 0
        messages = self._consumer.consume(_AT_ONCE, seconds)
        count = 0
        for message in messages:
            if unreadable_batches.is_of_one(message):
                # It would be told again and again; what lies behind it is looked for by those who must handle it.
                self._consumer.seek(TopicPartition(*partition_of(message), OFFSET_END))
            elif _is_one(message):
                self._entries[partition_of(message)].append(entry_of(message))
                count += 1
        return count

    def entries(self) -> dict[PartitionId, tuple[LogEntry, ...]]:
        """What is kept of each partition, the oldest first."""
        return {each: tuple(entries) for each, entries in self._entries.items()}

    def close(self) -> None:
        """End its client and forget what it read; it starts anew with the next `follow`."""
        consumer, self._consumer = self._consumer, None
        self._entries.clear()
        if consumer is not None:
            consumer.close()


def read_one(topic: str, partition: int, offset: int, *, within_seconds: float = 5.0) -> LogEntry | None:
    """The message at this offset (topic without the prefix); None where there is none. Blocks.

    Raises:
        KafkaException: the brokers do not answer within that time.
    """
    place = (clients.topic_name(topic), partition)
    reading = reader()
    try:
        start, end = reading.get_watermark_offsets(TopicPartition(*place), timeout=within_seconds)
        if not start <= offset < end:
            return None
        reading.assign([TopicPartition(*place, offset)])
        until = time.monotonic() + within_seconds
        while (left := until - time.monotonic()) > 0:
            for message in reading.consume(1, left):
                if _is_one(message):
                    # Offsets have gaps; then the next message comes.
                    return entry_of(message) if offset_of(message) == offset else None
        return None
    finally:
        reading.close()


def entry_of(message: Message) -> LogEntry:
    """What is kept of a message."""
    topic, partition = partition_of(message)
    body, (kind, milliseconds) = message.value() or b"", message.timestamp()
    headers = message_headers.read(message)[:HEADERS_MAX]
    return LogEntry(
        topic=topic.removeprefix(clients.conf().topic_prefix),
        partition=partition,
        offset=offset_of(message),
        key=(message.key() or b"")[:KEY_BYTES_MAX],
        body=body[:BODY_BYTES_MAX],
        body_bytes=len(body),
        headers=tuple((name, (value or b"")[:HEADER_BYTES_MAX]) for name, value in headers),
        at=_moment(milliseconds) if kind else None,
    )


def _is_one(message: Message) -> bool:
    """Whether it is a message and no notice. Who has no group needs no right to one, so what is said of it is no error.

    Raises:
        KafkaException: the client is beyond repair.
    """
    error = message.error()
    if error is not None and error.fatal():
        raise KafkaException(error)
    return error is None


def _moment(milliseconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None  # a stranger may write any number


def reader() -> Consumer:
    """A consumer that is no member of any group and commits nothing; it is assigned its partitions."""
    return Consumer(
        clients.common()
        | {
            "group.id": f"{clients.conf().group_prefix}tail-{uuid.uuid4()}",  # must be there; nothing is committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "latest",
            "isolation.level": clients.ISOLATION,
            "fetch.error.backoff.ms": 100,
            "queued.min.messages": 100,
            "queued.max.messages.kbytes": 1024,
            "max.partition.fetch.bytes": 128 * 1024,
        }
    )
