"""Offsets of partitions, as the brokers that lead them tell them.

# Note [No answer looks like one]
librdkafka (2.16) gives the offset -1001, and no error beside it, for a partition whose leader was asked and has not
answered in time. Taken for an offset it would say that nothing is left to be read, or move a group to the end of a
partition. (-1 is an answer: nothing was written since the time that was asked for.)
"""

import concurrent.futures
from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from kafka_bridge.consuming.offset_tracker import PartitionId

_Answers = Mapping[TopicPartition, "concurrent.futures.Future[ListOffsetsResultInfo]"]


def ask(
    admin: AdminClient, partitions: Iterable[PartitionId], specs: Sequence[OffsetSpec], *, answer_seconds: float
) -> list[dict[PartitionId, int]]:
    """For each of these specs, asked at the same time, its offset in each partition (topics as the cluster calls them).

    Raises:
        KafkaException: a leader refuses, or does not answer in time.
    """
    asked = list(partitions)
    if not asked:
        return [{} for _ in specs]
    # As consumers read: what an open transaction has written is still to come for them.
    level = IsolationLevel.READ_UNCOMMITTED
    # They come only while the client lives; it does until this returns.
    answers = [
        admin.list_offsets(
            {TopicPartition(*each): spec for each in asked}, isolation_level=level, request_timeout=answer_seconds
        )
        for spec in specs
    ]
    return [_offsets(each) for each in answers]


def _offsets(answers: _Answers) -> dict[PartitionId, int]:
    found = {(each.topic, each.partition): future.result().offset for each, future in answers.items()}
    silent = [partition for partition, offset in found.items() if offset == OFFSET_INVALID]
    if silent:
        # See Note [No answer looks like one].
        topic, number = silent[0]
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"the leader of {topic}[{number}] does not answer"))
    return found
