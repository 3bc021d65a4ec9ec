"""Which messages of a topic are meant: from one mark to another, as far as retention has left them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.consuming.registry import Group
from kafka_bridge.replaying import offsets
from kafka_bridge.replaying.offsets import InvalidRequest, LogRange, Mark


@dataclass(frozen=True, kw_only=True, slots=True)
class OffsetRange:
    """Messages of one partition: from `start` up to `stop`, excluded."""

    log_range: LogRange
    start: int
    stop: int

    @property
    def partition_id(self) -> PartitionId:
        """The partition, as the cluster calls it."""
        return self.log_range.topic, self.log_range.partition

    def __len__(self) -> int:
        return max(0, self.stop - self.start)


def plan_ranges(
    group: Group, topic: str, start: Mark, stop: Mark, *, partition: int | None = None
) -> list[OffsetRange]:
    """The messages between two marks, of one partition or of all.

    Raises:
        InvalidRequest: the group does not hear the topic, or the range is wrong, or retention has deleted it.
        KafkaException: the brokers do not answer.
    """
    if type(start) is type(stop) and not isinstance(start, str) and start > stop:  # type: ignore[operator]
        raise InvalidRequest(f"the range begins at {start} and ends before that, at {stop}")
    if start == "end" or stop == "beginning":
        raise InvalidRequest("there is nothing after the end or before the beginning: --from is the earlier place")
    kept = offsets.log_ranges(group, topic, partition=partition)
    starts, stops = offsets.resolve_mark(start, kept), offsets.resolve_mark(stop, kept)
    ranges = [OffsetRange(log_range=k, start=a, stop=b) for k, a, b in zip(kept, starts, stops, strict=True)]
    for offset_range in ranges:
        _refuse_what_is_gone(offset_range, start, stop)
    return ranges


def _refuse_what_is_gone(offset_range: OffsetRange, start: Mark, stop: Mark) -> None:
    here = offset_range.log_range
    left = f"what is left are the offsets {here.start} to {here.end}, the last one excluded; say --from beginning"
    if (isinstance(start, int) and start < here.start) or (isinstance(stop, int) and stop < here.start):
        raise InvalidRequest(f"{here}: retention has deleted what was before {here.start}; {left}")
    if here.start and offset_range.stop <= here.start and stop != "end" and start != "beginning":
        raise InvalidRequest(f"{here}: retention has deleted that range; {left}")
    furthest = max(offset_range.start, offset_range.stop)
    if furthest > here.end:
        raise InvalidRequest(f"{here} ends before {here.end}, so there is no {furthest}")


def notes_on_deleted(ranges: Sequence[OffsetRange], start: Mark) -> list[str]:
    """In words, where a range may have begun earlier than what retention has left of it."""
    if isinstance(start, int):
        return []  # an offset that is gone is refused
    return [
        f"{each.log_range}: retention has deleted what was before {each.start}; it is no part of this"
        for each in ranges
        if each.start == each.log_range.start > 0
    ]


def only_committed(group: Group, ranges: Sequence[OffsetRange]) -> list[OffsetRange]:
    """Only what the group has read: beyond that its members are under way, and events of an order could overtake.

    Raises:
        KafkaException: the brokers do not answer.
    """
    read = offsets.committed_offsets(group.name, [each.partition_id for each in ranges])
    return [replace(each, stop=min(each.stop, read.get(each.partition_id, each.start))) for each in ranges]
