"""Offsets: how people name them, which are left, where a group stands, and moving a group elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from kafka_bridge.consuming import pause_notices
from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.consuming.registry import Group
from kafka_bridge.replaying import partition_offsets
from kafka_bridge.runtime import clients
from kafka_bridge.runtime.coordinators.asking import Coordinators

_ANSWER_SECONDS = 10.0
_LEAST_SECONDS = 0.1
_UNSETTLED = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
T = TypeVar("T")
Edge = Literal["beginning", "end"]
Mark = int | datetime | Edge
"""An offset as people name it: its number, a time, or an edge of what is kept."""


class InvalidRequest(Exception):
    """What was asked for cannot be done as it was asked for; the message says why, and what can be done instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogRange:
    """What one partition has: the offsets from `start`, the oldest that retention has left, up to `end`, excluded."""

    topic: str
    """As the cluster calls it."""
    partition: int
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.topic.removeprefix(clients.conf().topic_prefix)}[{self.partition}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class OffsetMove:
    """Where a group stands in one partition, and where it is to stand."""

    log_range: LogRange
    now: int | None
    """None where the group has not committed anything: it would begin with the oldest message."""
    then: int

    @property
    def again(self) -> int:
        """Messages that the group gets once more; the inbox knows them."""
        return max(0, self._now - max(self.then, self.log_range.start))

    @property
    def skipped(self) -> int:
        """Messages that the group will never get."""
        return max(0, self.then - self._now)

    @property
    def _now(self) -> int:
        return max(self.log_range.start, self.now or 0)


def parse_mark(text: str) -> Mark:
    """`beginning`, `end`, an offset, or a time in ISO 8601 (UTC where it has no zone) that is not in the future.

    Raises:
        InvalidRequest: it is none of these.
    """
    if text in ("beginning", "end"):
        return text  # type: ignore[return-value]  # mypy does not narrow a str to a Literal
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is no place in a topic: say beginning, end, an offset such as 1200, or a time such as "
            "2026-01-31T04:00+00:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise InvalidRequest(f"{moment.isoformat()} is in the future; say end for everything there is by now")
    return moment


def log_ranges(group: Group, topic: str, *, partition: int | None = None) -> list[LogRange]:
    """What the partitions of a topic that the group hears have; of one, or of all.

    Raises:
        InvalidRequest: the group does not hear it, or there is no such topic or partition.
        KafkaException: the brokers do not answer.
    """
    heard = [each.name for each in group.topics]
    if topic not in heard:
        raise InvalidRequest(f"{group.name} does not hear a topic {topic!r}; it hears: {', '.join(heard)}")
    name = clients.topic_name(topic)
    admin = clients.admin()
    present = admin.list_topics(timeout=_ANSWER_SECONDS).topics
    if name not in present:
        raise InvalidRequest(f"there is no topic {name!r} on the cluster; `manage.py create_topics` makes it")
    numbers = sorted(present[name].partitions)
    if partition is not None:
        if partition not in numbers:
            raise InvalidRequest(f"{topic} has no partition {partition}; it has 0 to {numbers[-1]}")
        numbers = [partition]
    edges = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
    places = [(name, number) for number in numbers]
    starts, ends = partition_offsets.ask(admin, places, edges, answer_seconds=_ANSWER_SECONDS)
    return [
        LogRange(topic=name, partition=number, start=starts[name, number], end=ends[name, number]) for number in numbers
    ]


def resolve_mark(mark: Mark, ranges: Sequence[LogRange]) -> list[int]:
    """The offset of each partition that a mark stands for; a time stands for the first message written from then on.

    Raises:
        InvalidRequest: an offset for several partitions.
        KafkaException: the brokers do not answer.
    """
    if mark == "beginning":
        return [each.start for each in ranges]
    if mark == "end":
        return [each.end for each in ranges]
    if isinstance(mark, datetime):
        since = OffsetSpec.for_timestamp(int(mark.timestamp() * 1000))
        places = [(each.topic, each.partition) for each in ranges]
        [found] = partition_offsets.ask(clients.admin(), places, [since], answer_seconds=_ANSWER_SECONDS)
        # -1: nothing was written since.
        return [each.end if (at := found[each.topic, each.partition]) < 0 else at for each in ranges]
    if len(ranges) > 1:
        raise InvalidRequest(f"{mark} is an offset, and an offset belongs to one partition: add --partition")
    return [int(mark)]


def members_of(group: str) -> list[str]:
    """The members that read for this group now.

    Raises:
        KafkaException: the brokers do not answer.
    """
    with Coordinators() as coordinators:
        found = coordinators.describe([group], within_seconds=_ANSWER_SECONDS)[group]
    return [f"{member.client_id} at {member.host}" for member in found.members]


def committed_offsets(group: str, partitions: Iterable[PartitionId]) -> dict[PartitionId, int]:
    """What the group has committed of these partitions (topics as the cluster calls them); none, no entry.

    Raises:
        KafkaException: the brokers do not answer.
    """
    return {partition: offset for partition, (offset, _) in committed_with_notices(group, partitions).items()}


def committed_with_notices(
    group: str, partitions: Iterable[PartitionId]
) -> dict[PartitionId, tuple[int, pause_notices.PauseNotice | None]]:
    """`committed`, and what was said beside each offset; see Note [Said beside the offset].

    Raises:
        KafkaException: the brokers do not answer.
    """
    asked = list(partitions)
    if not asked:
        return {}
    with _outsider(group) as consumer:
        return _committed(consumer, asked)


class CommittedReader:
    """Asks the same again and again, with a client a group that stays connected. Not for several threads."""

    def __init__(self, *, answer_seconds: float = _ANSWER_SECONDS) -> None:
        """`answer_seconds`: how long each question may take."""
        self._answer_seconds = answer_seconds
        self._clients = ExitStack()
        self._by_group: dict[str, Consumer] = {}

    def __call__(
        self, group: str, partitions: Iterable[PartitionId]
    ) -> dict[PartitionId, tuple[int, pause_notices.PauseNotice | None]]:
        """As `committed_with_notices`."""
        asked = list(partitions)
        if asked and group not in self._by_group:
            self._by_group[group] = self._clients.enter_context(_outsider(group, self._answer_seconds))
        return _committed(self._by_group[group], asked, self._answer_seconds) if asked else {}

    def close(self) -> None:
        """End its clients; it makes new ones when it is asked again."""
        self._by_group.clear()
        self._clients.close()


def _committed(
    consumer: Consumer, partitions: Iterable[PartitionId], answer_seconds: float = _ANSWER_SECONDS
) -> dict[PartitionId, tuple[int, pause_notices.PauseNotice | None]]:
    asked = [TopicPartition(*partition) for partition in partitions]
    found = _once_found(lambda left: consumer.committed(asked, timeout=left), answer_seconds)
    return {
        (each.topic, each.partition): (each.offset, pause_notices.parse_notice(each.metadata))
        for each in found
        if each.offset >= 0
    }


def refuse_running(group: str, *, what: str) -> None:
    """Say no while members of the group are at work.

    Raises:
        InvalidRequest: they are; the message names them.
    """
    if at_work := members_of(group):
        raise InvalidRequest(f"{group} is running ({', '.join(at_work)}): {what}")


def plan_moves(group: Group, ranges: Sequence[LogRange], to: Mark) -> list[OffsetMove]:
    """Where the group would stand in these partitions if it were set to this mark.

    Raises:
        InvalidRequest: an offset outside of what is there.
        KafkaException: the brokers do not answer.
    """
    now = committed_offsets(group.name, [(each.topic, each.partition) for each in ranges])
    then = resolve_mark(to, ranges)
    for log_range, offset in zip(ranges, then, strict=True):
        if not log_range.start <= offset <= log_range.end:
            raise InvalidRequest(f"{log_range} has the offsets {log_range.start} to {log_range.end}, so not {offset}")
    return [
        OffsetMove(log_range=log_range, now=now.get((log_range.topic, log_range.partition)), then=offset)
        for log_range, offset in zip(ranges, then, strict=True)
    ]


def commit_moves(group: Group, moves: Iterable[OffsetMove]) -> None:
    """Commit these offsets for a group that has no members.

    Raises:
        KafkaException: the brokers refused; a member that joined meanwhile is one reason.
    """
    with _outsider(group.name) as consumer:
        there = [TopicPartition(move.log_range.topic, move.log_range.partition, move.then) for move in moves]
        done = _once_found(lambda _: consumer.commit(offsets=there, asynchronous=False), _ANSWER_SECONDS)
    for each in done or []:
        if each.error is not None:
            raise KafkaException(each.error)


def _once_found(ask: Callable[[float], T], within_seconds: float) -> T:
    """Ask, with the seconds that are left, again while the group's coordinator is only just being chosen, as after a
    broker's start.
    """
    until = time.monotonic() + within_seconds
    while True:
        try:
            return ask(max(_LEAST_SECONDS, until - time.monotonic()))
        except KafkaException as error:
            if error.args[0].code() not in _UNSETTLED or time.monotonic() > until:
                raise
        time.sleep(0.2)


@contextmanager
def _outsider(group: str, answer_seconds: float = _ANSWER_SECONDS) -> Iterator[Consumer]:
    """A client that asks and commits for a group without joining it.

    Not the Admin API, whose questions about a group's offsets may end the process: see Note [Asked in a process of its
    own].
    """
    consumer = Consumer(
        clients.common()
        | {
            "group.id": clients.conf().group_prefix + group,
            "enable.auto.commit": False,
            # Closing waits for the answer under way.
            "socket.timeout.ms": int(answer_seconds * 1000),
            "log_level": 0,  # what is wrong is raised
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()
