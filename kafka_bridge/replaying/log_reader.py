"""Reading messages that lie in the log, with a consumer that is no member of any group."""

import time
import uuid
from collections.abc import Iterator, Sequence
from threading import Event as Signal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kafka_bridge.consuming import unreadable_batches
from kafka_bridge.consuming.offset_tracker import PartitionId, offset_of, partition_of
from kafka_bridge.replaying.offset_ranges import OffsetRange
from kafka_bridge.runtime import clients

BATCH = 500
SILENCE_SECONDS = 30.0


def read_messages(
    ranges: Sequence[OffsetRange], *, stop: Signal | None = None, silence_seconds: float = SILENCE_SECONDS
) -> Iterator[list[Message]]:
    """The messages of these ranges, some hundred at a time, each partition in order; ends early on `stop`.

    Batches that cannot be decompressed are left out.

    Raises:
        KafkaException: the brokers do not answer for so long, or retention deletes the range meanwhile.
    """
    left = {each.partition_id: each.stop for each in ranges if len(each)}
    group = f"replay-{uuid.uuid4()}"  # must be there; nothing is committed
    reader = Consumer(
        clients.common()
        | {
            "group.id": clients.conf().group_prefix + group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": clients.ISOLATION,
            "queued.max.messages.kbytes": 16 * 1024,
        }
    )
    try:
        # Assigned, not subscribed: it joins no group, so the members at work keep their partitions.
        reader.assign([TopicPartition(*each.partition_id, each.start) for each in ranges if len(each)])
        heard_at = time.monotonic()
        while left and not (stop and stop.is_set()):
            came = reader.consume(BATCH, 0.2)
            if came:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > silence_seconds:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no message for {silence_seconds:g} s"))
            for notice in filter(unreadable_batches.is_of_one, came):
                end = unreadable_batches.end_of(partition_of(notice), offset_of(notice), group=group)
                reader.seek(TopicPartition(*partition_of(notice), end))
                if end >= left.get(partition_of(notice), 0):
                    left.pop(partition_of(notice), None)
            if batch := _wanted(came, left):
                yield batch
                heard_at = time.monotonic()  # handling them may have taken long, and the brokers have no part in that
    finally:
        reader.close()


def _wanted(came: Sequence[Message], left: dict[PartitionId, int]) -> list[Message]:
    """Those before their partition's stop; partitions that are through go from `left`."""
    batch = []
    for message in came:
        partition, error = partition_of(message), message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                left.pop(partition, None)
            elif error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise KafkaException(error)
            continue
        offset = offset_of(message)
        if offset < left.get(partition, 0):
            batch.append(message)
        if offset + 1 >= left.get(partition, 0):
            left.pop(partition, None)
    return batch
