"""The consume loop of one group: take a batch, handle it, commit the transaction, then the offsets.

What happens when something fails (DESIGN section 4):

| what failed | what happens |
|---|---|
| PostgreSQL, Redis, Kafka or a gateway is away | partitions pause, the loop keeps polling, the same batch again |
| a deadlock or serialization failure | the whole transaction runs again |
| a handler raised, in a batch | the batch is rolled back and handled in pieces, until the bad ones are found |
| a handler raised, alone | again in its place, with backoff; then it and its key are parked for the retry topic |
| the message is malformed, or the handler said Reject | straight to the dead letter topic |

The offset moves only after the effect is committed, or the copy in another topic is acknowledged: no message is ever
skipped.

# Note [Pieces]
A batch that failed is handled in pieces, in its order. Where it is known which message made it fail, those before it
are one piece, and it is the next. Else the pieces are smaller, down to single messages. A piece that works makes the
next ones twice as large. So one bad message among many costs the others little, and many cost no more than single
handling does.

# Note [Set aside]
A message that fails alone is set aside until its next attempt is due, and with it whatever comes of its key; all others
go on. Offsets are committed up to the first one that is set aside. So an attempt is made in the message's place, and
costs nobody else the pause before it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Message

from kafka_bridge.consuming import group_member, message_processing
from kafka_bridge.consuming.group_member import Revoked
from kafka_bridge.consuming.offset_tracker import PartitionId
from kafka_bridge.consuming.registry import Group, Reject
from kafka_bridge.dead_letters import burial
from kafka_bridge.dead_letters.burial import DeadLetterLimit
from kafka_bridge.retrying import parking, republish, retries
from kafka_bridge.runtime import processes
from kafka_bridge.runtime.waiting import Stopped
from kafka_bridge.wire import envelope, records
from kafka_bridge.wire.records import Record

log = logging.getLogger(__name__)
REPORT_EVERY_SECONDS = 10.0
SET_ASIDE_AT_MOST = 2000
# Of a large batch: with few bad messages in many, that finds them with less work than halves.
_PIECES = 8


@dataclass(slots=True)
class Aside:
    """A message that waits for its next attempt in its place, or for one of its key that does."""

    received: envelope.Received
    tried: int = 0
    due: float = 0.0
    """By the monotonic clock."""
    error: str = ""
    """Why it failed the last time; empty for one that only waits behind another."""


class Runner(group_member.GroupMember):
    """One member of one consumer group. `run` may be called once."""

    def __init__(
        self,
        group: Group,
        stop: threading.Event,
        *,
        after_commit: Callable[[], None] = lambda: None,
        streak: DeadLetterLimit | None = None,
    ) -> None:
        super().__init__(group.name, stop)
        self.group = group
        self.after_commit = after_commit
        self.streak = streak or DeadLetterLimit(group.name, stop)
        self.handled = self.duplicates = self.parked = self.dead = 0
        self._aside: dict[str, deque[Aside]] = {}
        self._reported = (time.monotonic(), 0)

    # -- the loop -------------------------------------------------------------------------------
    def run(self) -> None:
        """Consume until told to stop; then finish the batch, commit, and leave the group at once.

        Raises:
            KafkaException: the client is beyond repair; end the process with an error, a new one starts afresh.
        """
        with self._joined([topic.name for topic in self.group.topics]):
            while not self.stop.is_set():
                self._step()
                self._report()

    def _step(self) -> None:
        messages: list[Message] = []
        try:
            if sum(map(len, self._aside.values())) < SET_ASIDE_AT_MOST:
                messages = self._take(self._seconds_until_due())
            else:
                self._wait(self._seconds_until_due())
            if self._gone:
                raise Revoked
            self._process(messages)
            self._try_again()
        except Revoked:
            self._aside.clear()
            self._start_over(messages)
        else:
            for message in messages:
                self._progress.take(group_member.place_of(message), group_member.offset_of(message))
            self._commit()
            self._say_what_waits()

    def _process(self, messages: list[Message]) -> None:
        free: list[envelope.Received] = []
        for message in messages:
            try:
                received = envelope.decode(message)
            except envelope.Malformed as error:
                self._bury(records.of(message), error, attempts=0)
                continue
            if received.event.key in self._aside:
                self._set_aside(Aside(received))
            else:
                free.append(received)
        if free:
            self._handle_what_can_be(free)

    def _handle_what_can_be(self, batch: Sequence[envelope.Received]) -> None:
        """Handle a batch; what fails is found, and set aside with what follows it in its key. See Note [Pieces]."""
        start, sizes = 0, [len(batch)]
        while start < len(batch):
            size = sizes.pop() if len(sizes) > 1 else sizes[0]
            piece = batch[start : start + size]
            free = self._without_set_aside(piece) if self._aside else piece
            trace = message_processing.Trace()
            try:
                self._handle(free, trace)
            except (Revoked, Stopped):
                raise
            except Exception as error:
                if len(free) > 1:
                    log.debug("%s: %d messages failed: %s", self.name, len(free), burial.describe(error))
                    batch, start = [*free, *batch[start + size :]], 0
                    sizes = _smaller(free, trace.suspects)
                    continue
                self._fail(Aside(free[0]), error, trace)
            else:
                sizes[0] = max(sizes[0], 2 * size)
            start += size

    def _without_set_aside(self, piece: Sequence[envelope.Received]) -> Sequence[envelope.Received]:
        free = []
        for received in piece:
            if received.event.key in self._aside:
                self._set_aside(Aside(received))
            else:
                free.append(received)
        return free

    def _handle(self, received: Sequence[envelope.Received], trace: message_processing.Trace) -> None:
        if not received:
            return
        handled = self._patiently(partial(message_processing.handle, self.group, received, trace))
        self.handled += handled.new
        self.duplicates += handled.seen_before
        self.parked += trace.waiting
        if handled.new:
            self.streak.ended()
        self.after_commit()
        for message, head in trace.again:
            self._send_copy_again(message, head)

    # -- what failed ----------------------------------------------------------------------------
    def _set_aside(self, item: Aside) -> None:
        self._aside.setdefault(item.received.event.key, deque()).append(item)
        self._progress.hold(*_place(item))

    def _seconds_until_due(self) -> float:
        due = min(
            (queue[0].due for queue in self._aside.values()), default=time.monotonic() + group_member.POLL_SECONDS
        )
        return max(0.0, due - time.monotonic())

    def _try_again(self) -> None:
        """Whatever is due of what was set aside; see Note [Set aside]."""
        now = time.monotonic()
        for key in [key for key, queue in self._aside.items() if queue[0].due <= now]:
            queue = self._aside[key]
            while queue and queue[0].due <= now and self._is_done_with(queue[0]):
                self._progress.release(*_place(queue.popleft()))
            if not queue:
                del self._aside[key]

    def _is_done_with(self, item: Aside) -> bool:
        """One more attempt; False if there will be another one in this place."""
        trace = message_processing.Trace()
        try:
            self._handle([item.received], trace)
        except (Revoked, Stopped):
            raise
        except Exception as error:
            return not self._is_tried_again_here(item, error, trace)
        return True

    def _fail(self, item: Aside, error: Exception, trace: message_processing.Trace) -> None:
        """It failed alone, for the first time."""
        if self._is_tried_again_here(item, error, trace):
            self._set_aside(item)
            republish.get_ready()

    def _is_tried_again_here(self, item: Aside, error: Exception, trace: message_processing.Trace) -> bool:
        item.tried += 1
        policy = self.group.policy(item.received.event)
        handler = trace.handler.name if trace.handler else ""
        pause = policy.pause(item.tried)
        if isinstance(error, Reject):
            self._bury(parking.original(item.received), error, attempts=item.tried, handler=handler)
        elif pause is None:
            self._park(item, error, policy, handler)
        else:
            item.due, item.error = time.monotonic() + pause, burial.describe(error)
            return True
        return False

    def _say_what_waits(self) -> None:
        """People see that messages wait in their place, should that take longer than a moment."""
        if not self._aside:
            self._board.take_back()
            return
        places = {_place(item)[0] for queue in self._aside.values() for item in queue}
        self._board.say("retrying", next(iter(self._aside.values()))[0].error, places)

    def _park(self, item: Aside, error: Exception, policy: retries.Policy, handler: str) -> None:
        """Its key waits from now on, and it goes to the retry topic, or to the dead letters if no round is left."""
        record, words = parking.original(item.received), burial.describe(error)
        park = partial(parking.park, group=self.name, message=item.received, attempts=1, error=words)
        delay = policy.delay(1)
        if delay is None:
            self._bury(record, error, attempts=item.tried, handler=handler)
            self._patiently(partial(park, state=parking.State.DEAD))
            return
        due = time.time() + delay
        state = self._patiently(partial(park, state=parking.State.RETRYING, delay_seconds=delay))
        self.parked += state is not None
        if state == parking.State.RETRYING:
            self._copy(record, attempt=1, tries=item.tried, due=due, error=words)
            log.warning(
                "%s: %s[%d]@%d is parked for %.0f s after %d attempts: %s",
                self.name, *record.place, delay, item.tried, words,
            )  # fmt: skip

    def _send_copy_again(self, message: envelope.Received, head: parking.Head) -> None:
        """The message comes once more though it is parked: perhaps we died before its copy was made."""
        if head.state == parking.State.RETRYING and head.attempts and head.due:
            self._copy(
                parking.original(message), attempt=head.attempts, tries=head.attempts, due=head.due, error=head.error
            )

    def _copy(self, record: Record, *, attempt: int, tries: int, due: float, error: str) -> None:
        self._patiently(
            partial(retries.forward_record, self.name, record, attempt=attempt, tries=tries, due=due, error=error)
        )

    def _bury(self, record: Record, error: Exception, *, attempts: int, handler: str = "") -> None:
        """Put the message among the dead letters, however long the brokers take to say that they have it."""
        self._patiently(partial(burial.put, self.name, record, error=error, attempts=attempts, handler=handler))
        self.dead += 1
        self.streak.another()

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


def _place(item: Aside) -> tuple[PartitionId, int]:
    received = item.received
    return (received.topic, received.partition), received.offset
