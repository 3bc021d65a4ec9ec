"""What the page draws of the window: topics as rows, partitions as logs, groups as readers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from kafka_bridge.monitoring.cluster_figures import GroupPartition, PartitionFigures, TopicFigures
from kafka_bridge.monitoring.log_tail import LogEntry
from shop.kafka_window.state import Window

CELLS = 8
"""Messages that are drawn of a partition."""
KINDS = {"dlq": "dead letters", "retry": "retry"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One message in its log."""

    offset: int
    type: str
    key: str
    url: str

    @property
    def words(self) -> str:
        """The type without its app: `created`; all of an unknown kind are called so."""
        return self.type.rpartition(".")[2][:12] or "message"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """One group at one partition."""

    group: str
    committed: int | None
    lag: int
    owner: str
    state: str

    @property
    def gap(self) -> int:
        """How many of the drawn messages it has not read."""
        return min(self.lag, CELLS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One partition."""

    number: int
    leader: int | None
    replicas: int
    in_sync: int
    start: int
    end: int
    cells: Sequence[Cell]
    readers: Sequence[Reader]

    @property
    def earlier(self) -> int:
        """Messages before those that are drawn."""
        return max(0, self.end - self.start - CELLS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One topic."""

    name: str
    kind: str
    """`events`, `retry` or `dead letters`."""
    lanes: Sequence[Lane]
    written_per_second: float
    retention_days: float

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever written to it."""
        return all(not lane.end for lane in self.lanes)


def rows(window: Window) -> list[Row]:
    """Every topic, in the shop's own sequence."""
    if window.kafka is None:
        return []
    heard: dict[tuple[str, int], list[Reader]] = {}
    for group in window.kafka.groups:
        for part in group.partitions:
            heard.setdefault((part.lag.topic, part.lag.partition), []).append(_reader(group.name, part))
    return [_row(topic, window.tails, heard) for topic in window.kafka.topics]


def _row(
    topic: TopicFigures,
    tails: Mapping[tuple[str, int], Sequence[LogEntry]],
    heard: Mapping[tuple[str, int], Sequence[Reader]],
) -> Row:
    return Row(
        name=topic.name,
        kind=KINDS.get(topic.name.rpartition(".")[2], "events"),
        lanes=[
            _lane(each, tails.get((topic.name, each.number), ()), heard.get((topic.name, each.number), ()))
            for each in topic.partitions
        ],
        written_per_second=topic.written_per_second or 0.0,
        retention_days=topic.retention_seconds / 86_400,
    )


def _lane(partition: PartitionFigures, tail: Sequence[LogEntry], readers: Sequence[Reader]) -> Lane:
    # Messages come as soon as they are written, and ends when the brokers are asked: a log never ends behind its end.
    end = max(partition.end, tail[-1].offset + 1 if tail else 0)
    return Lane(
        number=partition.number,
        leader=partition.leader,
        replicas=len(partition.replicas),
        in_sync=len(partition.in_sync),
        start=partition.start,
        end=end,
        cells=[_cell(entry) for entry in tail[-CELLS:] if entry.offset >= end - CELLS],
        readers=readers,
    )


def _cell(entry: LogEntry) -> Cell:
    return Cell(
        offset=entry.offset,
        type=entry.header("ce_type"),
        key=entry.key.decode(errors="replace"),
        url=message_url(entry.topic, entry.partition, entry.offset),
    )


def _reader(group: str, part: GroupPartition) -> Reader:
    lag = part.lag
    return Reader(group=group, committed=lag.committed, lag=lag.messages, owner=lag.owner, state=lag.state)


def message_url(topic: str, partition: int, offset: int) -> str:
    """Where a message is opened."""
    return f"/kafka/?message={topic}/{partition}/{offset}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One member of a group, and what it owns."""

    name: str
    owns: Sequence[tuple[str, Sequence[int]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupRow:
    """One group as a whole."""

    name: str
    state: str
    lag: int
    members: Sequence[Member]


def groups(window: Window) -> list[GroupRow]:
    """Every group with its members."""
    found = window.kafka.groups if window.kafka else ()
    return [
        GroupRow(
            name=group.name,
            state=group.state.lower().replace("_", " "),
            lag=group.messages,
            members=[
                Member(name=f"…{member.id[-8:]} at {member.host}", owns=list(_owned(member.partitions)))
                for member in group.members
            ],
        )
        for group in found
    ]


def _owned(partitions: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Sequence[int]]]:
    for topic, each in groupby(sorted(partitions), key=lambda one: one[0]):
        yield topic, [number for _, number in each]
