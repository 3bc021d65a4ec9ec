"""Handing a group events again that lie in the log, without moving its offsets.

# Note [A replay repeats nothing]
Whatever is replayed goes through the inbox like any message: what the group has had does nothing, however often it is
replayed. So a replay of a whole topic mends what is missing and changes nothing else. It reads with a consumer of its
own that is no member of the group.
"""

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event as Signal
from typing import cast
from uuid import UUID

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from django.db import connection

from kafka_bridge.consuming import message_processing
from kafka_bridge.consuming.registry import Group
from kafka_bridge.models import ParkedMessage
from kafka_bridge.replaying import offsets
from kafka_bridge.replaying.offsets import InvalidRequest, LogRange, Mark
from kafka_bridge.runtime import bulk_rows, clients, error_classes
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received

log = logging.getLogger(__name__)
BATCH = 500
CONFLICTS = 5
"""So often a transaction is run again because of others, before that counts as a failure."""
SILENCE_SECONDS = 30.0
Place = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class OffsetRange:
    """Messages of one partition: from `start` up to `stop`, excluded."""

    kept: LogRange
    start: int
    stop: int

    @property
    def place(self) -> Place:
        """The partition, as the cluster calls it."""
        return self.kept.topic, self.kept.partition

    def __len__(self) -> int:
        return max(0, self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Failure:
    """A message whose handler raised; nothing of it was kept."""

    place: str
    type: str
    key: str
    error: str


@dataclass
class ReplayOutcome:
    """What a replay has come to so far; a dry run says what it would come to."""

    read: int = 0
    new: Counter[str] = field(default_factory=Counter)
    """By event type: handled now, for the first time."""
    had: Counter[str] = field(default_factory=Counter)
    """The group had had them, so nothing was done."""
    not_heard: int = 0
    """Of other types, or of other keys than the one that was asked for."""
    waiting: int = 0
    """They wait behind a failure of the same key, or are that failure; they are handled after it, not here."""
    malformed: int = 0
    failures: list[Failure] = field(default_factory=list)
    left_out: int = 0
    """New, but behind a failure in this replay; they must not overtake it."""
    reached: dict[Place, int] = field(default_factory=dict)
    """The next offset of each partition."""
    is_whole: bool = False
    """False where it was stopped before the end."""
    found: int = 0
    """Events of the key that was asked for, or all."""


# -- Planning ---------------------------------------------------------------------------------------------
def plan(group: Group, topic: str, start: Mark, stop: Mark, *, partition: int | None = None) -> list[OffsetRange]:
    """The messages between two marks, of one partition or of all.

    Raises:
        NotPossible: the group does not hear the topic, or the range is wrong, or retention has deleted it.
        KafkaException: the brokers do not answer.
    """
    if type(start) is type(stop) and not isinstance(start, str) and start > stop:  # type: ignore[operator]
        raise InvalidRequest(f"the range begins at {start} and ends before that, at {stop}")
    if start == "end" or stop == "beginning":
        raise InvalidRequest("there is nothing after the end or before the beginning: --from is the earlier place")
    places = offsets.log_ranges(group, topic, partition=partition)
    starts, stops = offsets.resolve(start, places), offsets.resolve(stop, places)
    stretches = [OffsetRange(kept=k, start=a, stop=b) for k, a, b in zip(places, starts, stops, strict=True)]
    for stretch in stretches:
        _refuse_what_is_gone(stretch, start, stop)
    return stretches


def _refuse_what_is_gone(stretch: OffsetRange, start: Mark, stop: Mark) -> None:
    here = stretch.kept
    left = f"what is left are the offsets {here.start} to {here.end}, the last one excluded; say --from beginning"
    if (isinstance(start, int) and start < here.start) or (isinstance(stop, int) and stop < here.start):
        raise InvalidRequest(f"{here}: retention has deleted what was before {here.start}; {left}")
    if here.start and stretch.stop <= here.start and stop != "end" and start != "beginning":
        raise InvalidRequest(f"{here}: retention has deleted that range; {left}")
    if max(stretch.start, stretch.stop) > here.end:
        raise InvalidRequest(f"{here} ends before {here.end}, so there is no {max(stretch.start, stretch.stop)}")


def holes(stretches: Sequence[OffsetRange], start: Mark) -> list[str]:
    """In words, where a range may have begun earlier than what retention has left of it."""
    if isinstance(start, int):
        return []  # an offset that is gone is refused
    return [
        f"{each.kept}: retention has deleted what was before {each.start}; it is no part of this"
        for each in stretches
        if each.start == each.kept.start > 0
    ]


def only_committed(group: Group, stretches: Sequence[OffsetRange]) -> list[OffsetRange]:
    """Only what the group has read: beyond that its members are under way, and events of a key could overtake.

    Raises:
        KafkaException: the brokers do not answer.
    """
    read = offsets.committed(group.name, [each.place for each in stretches])
    return [replace(each, stop=min(each.stop, read.get(each.place, each.start))) for each in stretches]


# -- Reading ----------------------------------------------------------------------------------------------
def read(
    stretches: Sequence[OffsetRange], *, stop: Signal | None = None, silence_seconds: float = SILENCE_SECONDS
) -> Iterator[list[Message]]:
    """The messages of these stretches, some hundred at a time, each partition in order; ends early on `stop`.

    Raises:
        KafkaException: the brokers do not answer for so long, or retention deletes the range meanwhile.
    """
    left = {each.place: each.stop for each in stretches if len(each)}
    reader = Consumer(
        clients.common()
        | {
            "group.id": f"{clients.conf().group_prefix}replay-{uuid.uuid4()}",  # must be there; nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": 16 * 1024,
        }
    )
    try:
        reader.assign([TopicPartition(*each.place, each.start) for each in stretches if len(each)])
        heard_at = time.monotonic()
        while left and not (stop and stop.is_set()):
            came = reader.consume(BATCH, 0.2)
            if came:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > silence_seconds:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no message for {silence_seconds:g} s"))
            if batch := _wanted(came, left):
                yield batch
                heard_at = time.monotonic()  # whoever takes the messages may take long
    finally:
        reader.close()


def _wanted(came: Sequence[Message], left: dict[Place, int]) -> list[Message]:
    """Those before their partition's stop; partitions that are through go from `left`."""
    batch = []
    for message in came:
        place, error = (cast(str, message.topic()), cast(int, message.partition())), message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                left.pop(place, None)
            elif error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise KafkaException(error)
            continue
        offset = cast(int, message.offset())
        if offset < left.get(place, 0):
            batch.append(message)
        if offset + 1 >= left.get(place, 0):
            left.pop(place, None)
    return batch


# -- Handing over -----------------------------------------------------------------------------------------
class Replay:
    """One pass over some stretches. `run` may be called once."""

    def __init__(self, group: Group, stretches: Sequence[OffsetRange], *, stop: Signal, key: str | None = None) -> None:
        self.group = group
        self.outcome = ReplayOutcome(reached={each.place: each.start for each in stretches})
        self._stretches = stretches
        self._stop = stop
        self._key = key
        self._failed_keys: set[str] = set()

    def run(
        self,
        *,
        dry_run: bool = False,
        per_second: float | None = None,
        progress: Callable[[ReplayOutcome], None] = lambda _: None,
    ) -> ReplayOutcome:
        """Hand everything over (or count only), until the end or until told to stop; `progress` after each batch.

        Raises:
            KafkaException: the brokers do not answer; `outcome` says how far it came, as for the others.
            Exception: PostgreSQL, Redis or a gateway is away.
        """
        for batch in read(self._stretches, stop=self._stop):
            for piece in _cut(batch, per_second):
                if self._stop.is_set():
                    return self.outcome
                self._take(piece, dry_run=dry_run)
                progress(self.outcome)
                if per_second:
                    self._stop.wait(len(piece) / per_second)
        if not self._stop.is_set():
            self.outcome.is_whole = True
            for each in self._stretches:
                self.outcome.reached[each.place] = max(each.start, each.stop)
        return self.outcome

    def _take(self, messages: Sequence[Message], *, dry_run: bool) -> None:
        outcome, missing = self.outcome, self._missing(messages)
        if dry_run:
            outcome.new.update(message.event.TYPE for message in missing)
        else:
            self._hand_over(missing)
        outcome.read += len(messages)
        for message in messages:
            place = cast(str, message.topic()), cast(int, message.partition())
            outcome.reached[place] = cast(int, message.offset()) + 1

    def _missing(self, messages: Sequence[Message]) -> list[Received]:
        """Those that the group hears and has neither had nor put down behind a failure."""
        outcome, heard = self.outcome, self._heard(messages)
        had, parked = had_by(self.group, [each.id for each in heard]), self._parked_keys(heard)
        missing = []
        for each in heard:
            if each.id in had:
                outcome.had[each.event.TYPE] += 1
            elif each.event.key in parked:
                outcome.waiting += 1
            else:
                missing.append(each)
                had.add(each.id)  # the relay may have sent it twice
        return missing

    def _heard(self, messages: Sequence[Message]) -> list[Received]:
        outcome, heard = self.outcome, []
        for message in messages:
            if self._key is not None and message.key() != self._key.encode():
                outcome.not_heard += 1
                continue
            outcome.found += 1
            try:
                received = envelope.decode(message)
            except envelope.Malformed:
                outcome.malformed += 1
                continue
            if self.group.knows(type(received.event)):
                heard.append(received)
            else:
                outcome.not_heard += 1
        return heard

    def _parked_keys(self, messages: Sequence[Received]) -> set[str]:
        keys = {message.event.key for message in messages}
        parked = ParkedMessage.objects.filter(group=self.group.name, key__in=keys)
        return set(parked.values_list("key", flat=True).distinct())

    def _hand_over(self, messages: list[Received]) -> None:
        """All of them in one transaction; where that fails, in halves, so that what fails is found quickly."""
        behind = [message for message in messages if message.event.key in self._failed_keys]
        self.outcome.left_out += len(behind)
        messages = [message for message in messages if message.event.key not in self._failed_keys]
        if not messages:
            return
        try:
            self._handle(messages)
        except Exception as error:
            if error_classes.is_infrastructure(error):
                raise
            if len(messages) > 1:
                middle = len(messages) // 2
                self._hand_over(messages[:middle])
                self._hand_over(messages[middle:])
                return
            self._note(messages[0], error)

    def _handle(self, messages: Sequence[Received]) -> None:
        for attempt in range(1, CONFLICTS + 1):
            try:
                handled = message_processing.handle(self.group, messages)
                break
            except Exception as error:
                if attempt == CONFLICTS or not error_classes.is_conflict(error):
                    raise
        self._count(Counter(message.event.TYPE for message in messages), handled)

    def _count(self, kinds: Counter[str], handled: message_processing.Handled) -> None:
        """Nearly always all are new. Else a member of the group was faster; of which types is not told, so guess."""
        new, had = handled.new, handled.seen_before
        for kind, count in kinds.items():
            as_new = min(count, new)
            as_had = min(count - as_new, had)
            self.outcome.new[kind] += as_new
            self.outcome.had[kind] += as_had
            self.outcome.waiting += count - as_new - as_had
            new, had = new - as_new, had - as_had

    def _note(self, message: Received, error: Exception) -> None:
        self._failed_keys.add(message.event.key)
        place = f"{message.topic.removeprefix(clients.conf().topic_prefix)}[{message.partition}]@{message.offset}"
        self.outcome.failures.append(
            Failure(place, message.event.TYPE, message.event.key, error_classes.describe(error))
        )
        log.warning("%s: %s failed in a replay: %s", self.group.name, place, error_classes.describe(error))


def had_by(group: Group, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these events the group has had."""
    if not ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT event_id FROM kafka_bridge_inboxrow WHERE "group" = %s AND event_id = ANY (%s::uuid[])',
            [group.name, bulk_rows.uuids(ids)],
        )
        return {row[0] for row in cursor.fetchall()}


def _cut(batch: Sequence[Message], per_second: float | None) -> Iterator[Sequence[Message]]:
    size = len(batch) if per_second is None else max(1, min(len(batch), int(per_second / 2)))
    for first in range(0, len(batch), size):
        yield batch[first : first + size]
