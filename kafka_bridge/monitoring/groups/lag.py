"""How far each consumer group is behind: what it has committed, against where its partitions end.

Asked of the brokers by the Admin API, not of a client: a consumer's own statistics know nothing of partitions that
nobody reads.

# Note [No commit yet]
A group that has committed nothing of a partition will read it from its beginning, so all that lies there is still to
come. That is a lag of everything, and never one of 0.

# Note [What a partition does]
Why nothing moves is said by the member that has the partition: see Note [Said beside the offset]. Messages that have
left the partition's sequence to be tried again are in PostgreSQL, and can be counted while that answers.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypedDict

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec, TopicMetadata

from kafka_bridge.consuming import consumer_groups, controls, pause_notices
from kafka_bridge.consuming.consumer_groups import Subscriber
from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.models import GroupControl
from kafka_bridge.replaying import offsets, partition_offsets
from kafka_bridge.retrying import waiting_heads
from kafka_bridge.retrying.waiting_heads import ParkedCounts
from kafka_bridge.runtime import clients, topics
from kafka_bridge.runtime.coordinators.asking import Coordinators, GroupMember, GroupState

_ANSWER_SECONDS = 10.0
# Reading one old message for each group and partition that lags; what has not come by then is told without its age.
_AGE_SECONDS = 5.0
State = Literal["nobody", "reading", "paused", "retrying"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionLag:
    """One partition, as one group has read it. Offsets are those of the next message."""

    group: str
    topic: str
    partition: int
    committed: int | None
    """None where the group has not committed anything; see Note [No commit yet]."""
    end: int
    messages: int
    """Still to be read."""
    seconds: float | None = 0.0
    """Age of the oldest message still to be read; None where it could not be read."""
    owner: str = ""
    """Who has the partition: the end of the member id, client id, address; empty where nobody does."""
    state: State = "nobody"
    """Nobody has it; it is read; it is paused until something can be reached; messages wait to be tried again."""
    since: datetime | None = None
    """When it was paused, or when the oldest of what is tried again began to wait."""
    reason: str = ""
    """Why it is paused, or why a message is tried again: the error, on one line."""
    paused_by: str = ""
    """Who paused it; empty where no person did."""
    parked: ParkedCounts | None = None
    """Messages put down out of their sequence; None where that was not asked, or PostgreSQL did not say."""


Committed = Mapping[PartitionId, tuple[int, pause_notices.PauseNotice | None]]
"""What a group has committed, and what was said beside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LagReading:
    """All that the brokers said of groups at one moment. Partitions are called as the cluster calls them."""

    rows: list[PartitionLag]
    """In the order of group, topic, partition."""
    starts: dict[PartitionId, int]
    ends: dict[PartitionId, int]
    groups: dict[str, GroupState]


def read_lag(
    groups: Sequence[str] = (), *, with_age: bool = True, coordinators: Coordinators | None = None
) -> list[PartitionLag]:
    """Every partition that these groups (or all) hear, in the order of group, topic, partition.

    A group's retry topics are read by a group of its own, so they have a lag of their own: `inventory.retry`. Who
    reads again and again brings `coordinators`, which stay open.

    Blocks for as long as the brokers take, some seconds at most. Partitions of a topic that does not exist are absent,
    and so are those without a leader.

    Raises:
        KafkaException: the brokers do not answer.
        LookupError: there is no such group.
    """
    wanted = [consumer_groups.find_with_lag(name) for name in groups] or consumer_groups.groups_with_lag()
    admin = AdminClient(clients.common() | {"log_level": 0})  # what is wrong is raised
    present = admin.list_topics(timeout=_ANSWER_SECONDS).topics
    if coordinators is not None:
        return read_groups(admin, coordinators, wanted, present, with_age=with_age).rows
    with Coordinators() as opened:
        return read_groups(admin, opened, wanted, present, with_age=with_age).rows


def read_groups(
    admin: AdminClient,
    coordinators: Coordinators,
    wanted: Sequence[Subscriber],
    present: Mapping[str, TopicMetadata],
    *,
    with_age: bool = True,
    topics: Iterable[str] = (),
    committed_of: Callable[[str, Iterable[PartitionId]], Committed] = offsets.committed_with_notices,
    answer_seconds: float = _ANSWER_SECONDS,
) -> LagReading:
    """The same for these groups, with these clients and the topics that are present, and where further topics stand.

    Blocks for `answer_seconds` at most for each question, and ends with the first that is not answered.

    Raises:
        KafkaException: the brokers do not answer.
    """
    partitions = {
        group.name: _partitions_of(map(clients.topic_name, (topic.name for topic in group.topics)), present)
        for group in wanted
    }
    asked = sorted({*_partitions_of(topics, present), *(each for found in partitions.values() for each in found)})
    edges = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
    starts, ends = partition_offsets.ask(admin, asked, edges, answer_seconds=answer_seconds)
    committed = {group: committed_of(group, heard) for group, heard in partitions.items()}
    states = coordinators.describe(list(partitions), within_seconds=answer_seconds)
    owners = {name: _owners(group.members) for name, group in states.items()}
    found = [
        replace(_lag(group, each, _offset_in(committed[group], each), starts[each], ends[each]), **activity)
        for group, heard in partitions.items()
        for each, activity in _activities(heard, committed[group], owners[group])
    ]
    rows = _with_ages(found, starts) if with_age else found
    return LagReading(rows=rows, starts=starts, ends=ends, groups=states)


def _partitions_of(topics: Iterable[str], present: Mapping[str, TopicMetadata]) -> list[PartitionId]:
    """Without those that nobody leads: who asks for their offsets as well gets an error, and no offset at all."""
    return [
        (name, number)
        for name in topics
        if name in present
        for number, each in sorted(present[name].partitions.items())
        if each.leader >= 0
    ]


def with_parked_counts(found: Sequence[PartitionLag]) -> list[PartitionLag]:
    """These lags, with what is parked; see Note [What a partition does].

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    counted = waiting_heads.count_parked()
    nothing = (ParkedCounts(), None)
    return [_with_parked(row, *counted.get((row.group, row.topic, row.partition), nothing)) for row in found]


def with_pauses(found: Sequence[PartitionLag], pauses: Sequence[GroupControl] | None = None) -> list[PartitionLag]:
    """These lags, with what people have paused: with these pauses, or with those that are in force now.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    if pauses is None:
        pauses = controls.current()
    return [_with_pause(row, pauses) for row in found]


def _with_pause(row: PartitionLag, pauses: Sequence[GroupControl]) -> PartitionLag:
    for pause in pauses:
        is_whole_retry = row.group == topics.retry_group_name(pause.group) and not pause.topic
        if is_whole_retry or (row.group == pause.group and controls.covers(pause, row.topic, row.partition)):
            return replace(row, state="paused", since=pause.at, reason=pause.reason, paused_by=pause.who)
    return row


def _with_parked(row: PartitionLag, parked: ParkedCounts, retrying: waiting_heads.OldestRetry | None) -> PartitionLag:
    row = replace(row, parked=parked)
    if retrying is None or row.state != "reading":
        return row
    return replace(row, state="retrying", since=datetime.fromtimestamp(retrying.since, UTC), reason=retrying.error)


def _offset_in(committed: Committed, partition: PartitionId) -> int | None:
    return committed[partition][0] if partition in committed else None


def _lag(group: str, partition: PartitionId, committed: int | None, start: int, end: int) -> PartitionLag:
    # What was deleted before it was read is not still to be read.
    first = start if committed is None else max(start, committed)
    topic, number = partition
    return PartitionLag(
        group=group,
        topic=topic.removeprefix(clients.conf().topic_prefix),
        partition=number,
        committed=committed,
        end=end,
        messages=max(0, end - first),
    )


class _Owner(NamedTuple):
    """A member of a group."""

    id: str
    name: str


class _Activity(TypedDict, total=False):
    """What a partition does, as fields of its lag."""

    owner: str
    state: State
    since: datetime
    reason: str


def _activities(
    partitions: Iterable[PartitionId],
    committed: Committed,
    owners: Mapping[PartitionId, _Owner],
) -> Iterator[tuple[PartitionId, _Activity]]:
    """See Note [What a partition does]. A member that is paused is so with all it has, also where
    it could not say so.
    """
    said = {
        partition: notice
        for partition, (_, notice) in committed.items()
        if notice and partition in owners and notice.is_current(owners[partition].id, time.time())
    }
    paused = {notice.by: notice for notice in said.values() if notice.state == "paused"}
    for partition in partitions:
        owner = owners.get(partition)
        if owner is None:
            yield partition, {}
        elif notice := paused.get(owner.id) or said.get(partition):
            since = datetime.fromtimestamp(notice.since, UTC)
            yield partition, {"owner": owner.name, "state": notice.state, "since": since, "reason": notice.reason}
        else:
            yield partition, {"owner": owner.name, "state": "reading"}


def _owners(members: Iterable[GroupMember]) -> dict[PartitionId, _Owner]:
    return {each: _Owner(member.id, member.words) for member in members for each in member.partitions}


# -- How old the oldest unread message is -----------------------------------------------------------------
def _with_ages(found: Sequence[PartitionLag], starts: Mapping[PartitionId, int]) -> list[PartitionLag]:
    behind = [lag for lag in found if lag.messages]
    firsts: dict[PartitionLag, tuple[PartitionId, int]] = {}
    for lag in behind:
        partition = clients.topic_name(lag.topic), lag.partition
        firsts[lag] = partition, max(starts[partition], lag.committed or 0)
    written = _timestamps(set(firsts.values()))
    now = time.time()
    return [replace(lag, seconds=_age(written.get(firsts[lag]), now)) if lag in firsts else lag for lag in found]


def _age(written: float | None, now: float) -> float | None:
    # The clocks of producers may be ahead of ours.
    return None if written is None else max(0.0, now - written)


def _timestamps(wanted: set[tuple[PartitionId, int]]) -> dict[tuple[PartitionId, int], float]:
    """When the first message from each of these offsets on was written, in seconds since the epoch."""
    found: dict[tuple[PartitionId, int], float] = {}
    until = time.monotonic() + _AGE_SECONDS
    # A client reads a partition from one offset at a time; groups that are at different offsets take a round each.
    while left := wanted - found.keys():
        this_round = {partition: (partition, offset) for partition, offset in sorted(left)}
        read_now = _read_first(this_round, until)
        if not read_now:
            break
        found |= read_now
    return found


def _read_first(
    partitions: Mapping[PartitionId, tuple[PartitionId, int]], until: float
) -> dict[tuple[PartitionId, int], float]:
    reader = Consumer(
        clients.common()
        | {
            "group.id": f"{clients.conf().group_prefix}lag-{uuid.uuid4()}",  # must be there; nothing is committed
            "enable.auto.commit": False,
            "isolation.level": clients.ISOLATION,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 1,
        }
    )
    found: dict[tuple[PartitionId, int], float] = {}
    try:
        reader.assign([TopicPartition(*partition, offset) for partition, offset in partitions.values()])
        while len(found) < len(partitions) and (left := until - time.monotonic()) > 0:
            message = reader.poll(min(left, 0.5))
            if message is None or message.error():
                continue
            partition = str(message.topic()), message.partition() or 0
            found.setdefault(partitions[partition], message.timestamp()[1] / 1000)
            reader.pause([TopicPartition(*partition)])
    finally:
        reader.close()
    return found
