"""The consume loop of one group: take a batch, handle it, commit the transaction, then the offsets.

What happens when something fails (docs/saga.md, “When a message fails”):

| what failed | what happens |
|---|---|
| PostgreSQL, Redis, Kafka or a gateway is away | partitions pause, the loop keeps polling, the same batch again |
| a deadlock or serialization failure | the whole transaction runs again |
| a handler raised, in a batch | the batch is rolled back and handled in pieces, until the bad ones are found |
| a handler raised, alone | again in its place, with backoff; then it and its key are parked for the retry topic |
| the message is malformed, or the handler said Reject | straight to the dead letter topic |
| the message is of a type that the group does not hear | passed over; counted where no code knows the type |

The offset moves only after the effect is committed, or the copy in another topic is acknowledged: no message is ever
skipped.

# Note [Pieces]
A batch that failed is handled in pieces, in its order. Where it is known which message made it fail, those before it
are one piece, and it is the next. Else the pieces are smaller, down to single messages. A piece that works makes the
next ones twice as large. So one bad message among many costs the others little, and many cost no more than single
handling does.

# Note [Deferred]
A message that fails alone is deferred until its next attempt is due, and with it whatever comes of its key; all others
go on. Offsets are committed up to the first one that is deferred. So an attempt is made in the message's place, and
costs no other message the pause before it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Message

from kafka_bridge.consuming import group_member, message_processing
from kafka_bridge.consuming.group_member import Revoked
from kafka_bridge.consuming.message_processing import Attempt
from kafka_bridge.consuming.offset_tracker import PartitionId, offset_of, partition_of
from kafka_bridge.consuming.registry import Group, Reject
from kafka_bridge.consuming.unknown_events import UnknownEvents
from kafka_bridge.dead_letters.limit import DeadLetterLimit
from kafka_bridge.retrying import parking, republish
from kafka_bridge.retrying.failed_messages import FailedMessages
from kafka_bridge.runtime import error_classes, processes
from kafka_bridge.runtime.waiting import Stopped
from kafka_bridge.telemetry import partition_counts, tracing
from kafka_bridge.wire import envelope, records

log = logging.getLogger(__name__)
REPORT_EVERY_SECONDS = 10.0
# With more than this in hand nothing is fetched until some are done: memory has an end, and so has patience.
DEFERRED_AT_MOST = 2000
# Of a large batch: with few bad messages in many, that finds them with less work than halves.
_PIECES = 8


@dataclass(slots=True)
class Deferred:
    """A message that waits for its next attempt in its place, or behind one of its key that does."""

    received: envelope.Received
    tried: int = 0
    due: float = 0.0
    """By the monotonic clock."""
    error: str = ""
    """Why it failed the last time; empty for one that only waits behind another."""

    @property
    def partition(self) -> PartitionId:
        """Where it is from."""
        return self.received.topic, self.received.partition


class Runner(group_member.GroupMember):
    """One member of one consumer group. `run` may be called once."""

    def __init__(
        self,
        group: Group,
        stop: threading.Event,
        *,
        after_commit: Callable[[], None] = lambda: None,
        dead_letter_limit: DeadLetterLimit | None = None,
    ) -> None:
        super().__init__(group.name, stop, patience_seconds=group.patience_seconds)
        self.group = group
        self.after_commit = after_commit
        self.handled = self.duplicates = self._put_behind = 0
        self._failed = FailedMessages(group, self, dead_letter_limit or DeadLetterLimit(group.name, stop))
        self.unknown = UnknownEvents(group.name)
        self._deferred: dict[str, deque[Deferred]] = {}
        """By key, in sequence; only the first of a key is tried."""
        self._reported = (time.monotonic(), 0)

    @property
    def parked(self) -> int:
        """Messages that could not be handled in their place: they failed, or wait behind one that did."""
        return self._put_behind + self._failed.parked

    @property
    def dead(self) -> int:
        """Messages given up."""
        return self._failed.dead

    # -- the loop -------------------------------------------------------------------------------
    def run(self) -> None:
        """Consume until told to stop; then finish the batch, commit, and leave the group at once.

        Raises:
            KafkaException: the client is beyond repair; end the process with an error, a new one starts afresh.
        """
        self._run([topic.name for topic in self.group.topics], self._turn)

    def _turn(self) -> None:
        self._step()
        self._report()

    def _forget_all(self) -> None:
        super()._forget_all()
        self._deferred.clear()

    def _step(self) -> None:
        messages: list[Message] = []
        try:
            if sum(map(len, self._deferred.values())) < DEFERRED_AT_MOST:
                messages = self._fetch(self._seconds_until_due())
            else:
                self._wait(self._seconds_until_due())
            # Not inside of `_fetch`: what it has fetched must be in `messages` before anything is raised.
            if self._revoked:
                raise Revoked
            self._process(messages)
            self._pass_over_unreadable()
            self._retry_due()
            self.patiently(self.unknown.store_due)
        except Revoked:
            self._deferred.clear()
            self._start_over(messages)
        else:
            # Only now: had we died above, none of these would count as taken, and all would come again.
            for message in messages:
                self._offsets.take(partition_of(message), offset_of(message))
            self._commit()
            self._publish_what_waits()

    def _process(self, messages: list[Message]) -> None:
        free: list[envelope.Received] = []
        heard = self.group.heard_types
        for message in messages:
            try:
                received = self._read(message, heard)
            except envelope.NotHeard as other:
                self.unknown.count(other)
                continue
            except envelope.Malformed as error:
                # Its key goes on: a message that cannot be read is not known to be about that key at all.
                self._failed.bury(records.from_message(message), error, tries=0)
                continue
            if received.event.key in self._deferred:
                self._defer(Deferred(received))
            else:
                free.append(received)
        if free:
            self._handle_batch(free)

    def _read(self, message: Message, heard: Container[str]) -> envelope.Received:
        received = envelope.decode(message, heard=heard)
        if not self.group.knows(type(received.event)):
            event = type(received.event)
            raise envelope.Malformed(f"{self.name} hears {event.TYPE}, but no handler takes version {event.VERSION}")
        return received

    def _on_passed_over(self, partition: PartitionId, first: int, end: int) -> None:
        reason = envelope.Malformed(f"the batch of offsets {first} to {end - 1} cannot be decompressed")
        self._failed.bury(records.of_unread(partition, first), reason, tries=0)

    def _handle_batch(self, batch: Sequence[envelope.Received]) -> None:
        """Handle a batch; what fails is found, and deferred with what follows it in its key. See Note [Pieces]."""
        start, sizes = 0, [len(batch)]
        while start < len(batch):
            size = sizes.pop() if len(sizes) > 1 else sizes[0]
            piece = batch[start : start + size]
            free = self._without_deferred(piece) if self._deferred else piece
            attempt = Attempt()
            try:
                self._handle(free, attempt)
            except (Revoked, Stopped):
                raise
            except Exception as error:
                if len(free) > 1:
                    log.debug("%s: %d messages failed: %s", self.name, len(free), error_classes.describe(error))
                    # Without those that were just deferred: in another piece they would be deferred twice.
                    batch, start = [*free, *batch[start + size :]], 0
                    sizes = _smaller(free, attempt.suspects)
                    continue
                self._fail(Deferred(free[0]), error, attempt)
            else:
                sizes[0] = max(sizes[0], 2 * size)
            start += size

    def _without_deferred(self, piece: Sequence[envelope.Received]) -> Sequence[envelope.Received]:
        free = []
        for received in piece:
            if received.event.key in self._deferred:
                self._defer(Deferred(received))
            else:
                free.append(received)
        return free

    def _handle(self, received: Sequence[envelope.Received], attempt: Attempt) -> None:
        if not received:
            return
        handled = self.patiently(partial(message_processing.handle, self.group, received, attempt))
        self.handled += handled.new
        self.duplicates += handled.seen_before
        self._put_behind += attempt.put_behind
        if handled.new:
            self._failed.handled()
        self.after_commit()
        for message, head in attempt.parked_themselves:
            self._send_copy_again(message, head)

    # -- what failed ----------------------------------------------------------------------------
    def _defer(self, item: Deferred) -> None:
        self._deferred.setdefault(item.received.event.key, deque()).append(item)
        self._offsets.hold(item.partition, item.received.offset)

    def _seconds_until_due(self) -> float:
        due = min(
            (queue[0].due for queue in self._deferred.values()), default=time.monotonic() + group_member.POLL_SECONDS
        )
        return max(0.0, due - time.monotonic())

    def _retry_due(self) -> None:
        """Whatever is due of what was deferred; see Note [Deferred]."""
        now = time.monotonic()
        for key in [key for key, queue in self._deferred.items() if queue[0].due <= now]:
            # What is left stays held, so it comes again. Else a group that stops itself would bury all that is due.
            if self.stop.is_set():
                return
            queue = self._deferred[key]
            while queue and queue[0].due <= now and self._is_done_with(queue[0]):
                item = queue.popleft()
                self._offsets.release(item.partition, item.received.offset)
            if not queue:
                del self._deferred[key]

    def _is_done_with(self, item: Deferred) -> bool:
        """One more attempt; False if there will be another one in this place."""
        attempt = Attempt()
        if item.tried:
            partition_counts.current.count("retried", self.name, *item.partition)
        try:
            self._handle([item.received], attempt)
        except (Revoked, Stopped):
            raise
        except Exception as error:
            return not self._is_tried_again_here(item, error, attempt)
        return True

    def _fail(self, item: Deferred, error: Exception, attempt: Attempt) -> None:
        """It failed alone, for the first time."""
        if self._is_tried_again_here(item, error, attempt):
            self._defer(item)
            # It may need a copy soon, and the first one of a process would wait for the brokers.
            republish.get_ready()

    def _is_tried_again_here(self, item: Deferred, error: Exception, attempt: Attempt) -> bool:
        item.tried += 1
        partition_counts.current.count("failed", self.name, *item.partition)
        if tracing.is_on():
            tracing.record_failure(self.name, item.received, error, time.perf_counter() - attempt.began)
        pause = self.group.policy(item.received.event).pause(item.tried)
        if isinstance(error, Reject):
            self._failed.bury(parking.original(item.received), error, tries=item.tried, handler=attempt.handler_name)
        elif pause is None:
            self._failed.park(item.received, error, tries=item.tried, handler=attempt.handler_name)
        else:
            item.due, item.error = time.monotonic() + pause, error_classes.describe(error)
            return True
        return False

    def _publish_what_waits(self) -> None:
        """People see that messages wait in their place, should that take longer than a moment."""
        if not self._deferred:
            self._pause_notices.clear()
            return
        partitions = {item.partition for queue in self._deferred.values() for item in queue}
        self._pause_notices.publish("retrying", next(iter(self._deferred.values()))[0].error, partitions)

    def _send_copy_again(self, message: envelope.Received, head: parking.Head) -> None:
        """The message comes once more though it is parked: perhaps we died before its copy was made."""
        if head.state == parking.State.RETRYING and head.attempts and head.due:
            record = parking.original(message)
            self._failed.send_copy(record, attempt=head.attempts, tries=head.attempts, due=head.due, error=head.error)

    # -- words ----------------------------------------------------------------------------------
    def _on_joined(self) -> None:
        processes.announce_ready()

    def _report(self) -> None:
        since, before = self._reported
        if time.monotonic() - since >= REPORT_EVERY_SECONDS:
            if self.handled > before:
                log.info(
                    "%s: %d handled in %.0f s (in all %d handled, %d seen before, %d parked, %d dead letters)",
                    self.name, self.handled - before, time.monotonic() - since,
                    self.handled, self.duplicates, self.parked, self.dead,
                )  # fmt: skip
            self._reported = time.monotonic(), self.handled


def _smaller(failed: Sequence[envelope.Received], suspects: Sequence[envelope.Received]) -> list[int]:
    """Sizes of the next pieces after these messages failed together, the last one first; see Note [Pieces]."""
    if len(suspects) == 1:
        at = next(index for index, received in enumerate(failed) if received is suspects[0])
        return [2 * (at + 1), 1, at] if at else [2, 1]
    return [-(-len(failed) // (_PIECES if len(failed) > 8 * _PIECES else 2))]
