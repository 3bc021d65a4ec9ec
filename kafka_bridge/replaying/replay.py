"""Handing a group events again that lie in the log, without moving its offsets.

# Note [A replay repeats nothing]
Whatever is replayed goes through the inbox like any message: what the group has had does nothing, however often it is
replayed. So a replay of a whole topic mends what is missing and changes nothing else. It reads with a consumer of its
own that is no member of the group.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event as Signal
from uuid import UUID

from confluent_kafka import Message
from django.db import connection

from kafka_bridge.consuming import message_processing
from kafka_bridge.consuming.offset_tracker import PartitionId, offset_of, partition_of
from kafka_bridge.consuming.registry import Group
from kafka_bridge.models import ParkedMessage
from kafka_bridge.replaying import log_reader
from kafka_bridge.replaying.offset_ranges import OffsetRange
from kafka_bridge.runtime import clients, error_classes
from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received

log = logging.getLogger(__name__)
CONFLICTS = 5
"""So often a transaction is run again because of others, before that counts as a failure."""


@dataclass(frozen=True, slots=True)
class ReplayFailure:
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
    failures: list[ReplayFailure] = field(default_factory=list)
    left_out: int = 0
    """New, but behind a failure in this replay; they must not overtake it."""
    reached: dict[PartitionId, int] = field(default_factory=dict)
    """The next offset of each partition."""
    is_whole: bool = False
    """False where it was stopped before the end."""
    found: int = 0
    """Events of the key that was asked for, or all."""


class Replay:
    """One pass over ranges of the log. `run` may be called once."""

    def __init__(self, group: Group, ranges: Sequence[OffsetRange], *, stop: Signal, key: str | None = None) -> None:
        self.group = group
        self.outcome = ReplayOutcome(reached={each.partition_id: each.start for each in ranges})
        self._ranges = ranges
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
        for batch in log_reader.read_messages(self._ranges, stop=self._stop):
            # With a rate, in pieces of half a second: so a stop is heard soon, and the load is even.
            for piece in _cut(batch, per_second):
                if self._stop.is_set():
                    return self.outcome
                self._take(piece, dry_run=dry_run)
                progress(self.outcome)
                if per_second:
                    self._stop.wait(len(piece) / per_second)
        if not self._stop.is_set():
            self.outcome.is_whole = True
            for each in self._ranges:
                self.outcome.reached[each.partition_id] = max(each.start, each.stop)
        return self.outcome

    def _take(self, messages: Sequence[Message], *, dry_run: bool) -> None:
        outcome, missing = self.outcome, self._missing(messages)
        if dry_run:
            outcome.new.update(message.event.TYPE for message in missing)
        else:
            self._hand_over(missing)
        outcome.read += len(messages)
        for message in messages:
            outcome.reached[partition_of(message)] = offset_of(message) + 1

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
        outcome, heard, types = self.outcome, list[Received](), self.group.heard_types
        for message in messages:
            if self._key is not None and message.key() != self._key.encode():
                outcome.not_heard += 1
                continue
            outcome.found += 1
            try:
                received = envelope.decode(message, heard=types)
            except envelope.NotHeard:
                outcome.not_heard += 1
                continue
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
            ReplayFailure(place, message.event.TYPE, message.event.key, error_classes.describe(error))
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
