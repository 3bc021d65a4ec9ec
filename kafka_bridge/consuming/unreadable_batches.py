"""Batches of messages that the client cannot decompress, and where they end.

# Note [Batches that cannot be read]
librdkafka unpacks no more than some 100 MB of zstd, which a few kilobytes can hold. Of such a batch it only says where
it begins, again and again, and reads nothing behind it. Brokers take it, so whoever may write to a topic could stop its
partition for ever. The whole batch is passed over: with it goes what a stranger wrote, for producers of the bridge make
none that is nearly so large. Where it ends is found by looking: whoever begins to read inside of it hears the same.
"""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.runtime import clients

ANSWER_SECONDS = 10.0


def is_of_one(message: Message) -> bool:
    """Whether it is the client's notice of such a batch; its offset is the batch's first."""
    error = message.error()
    return error is not None and error.code() == KafkaError._BAD_COMPRESSION


def end_of(partition: PartitionId, first: int, *, group: str) -> int:
    """The offset behind the batch that begins at `first`. The group's members are not disturbed.

    Raises:
        KafkaException: the brokers do not answer.
    """
    reader = clients.consumer(group=group)
    try:
        _, behind = reader.get_watermark_offsets(TopicPartition(*partition), timeout=ANSWER_SECONDS)
        inside, step = first, 1
        # With growing steps, as most have few messages; then by halves.
        while behind - inside > 1:
            probe = min(inside + step, (inside + behind) // 2)
            if _lies_inside(reader, partition, probe, first):
                inside, step = probe, 2 * step
            else:
                behind = probe
        return inside + 1
    finally:
        reader.close()


def _lies_inside(reader: Consumer, partition: PartitionId, offset: int, first: int) -> bool:
    reader.assign([TopicPartition(*partition, offset)])
    until = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < until:
        message = reader.poll(0.5)
        if message is None:
            continue
        if is_of_one(message):
            return message.offset() == first
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return False
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer for {ANSWER_SECONDS:g} s"))
