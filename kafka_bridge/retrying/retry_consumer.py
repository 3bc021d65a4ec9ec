"""The consumer of a group's retry topics: a thread beside each member, in a Kafka group of its own (`<group>.retry`).

It takes copies as they come, keeps them until they are due, and handles the parked messages they stand for; the offset
of a copy moves when that is done. Nobody waits for anybody: a copy that is due in two minutes holds up neither another
partition nor those behind it, and while all of them wait the consumer goes on polling.

# Note [Who follows a head]
When a head has been handled, whoever handled it goes on with those behind it, each in a transaction of its own. If that
process dies half-way, the next one of the key is a head that nobody was told of. So every second somebody looks for
heads that wait for nothing, some hundreds at a time and all of them in turn; those that a person released are found at
once.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from confluent_kafka import Message

from kafka_bridge.consuming import group_member, message_processing
from kafka_bridge.consuming.group_member import Revoked
from kafka_bridge.consuming.registry import Group, Reject
from kafka_bridge.dead_letters import burial
from kafka_bridge.dead_letters.burial import DeadLetterLimit
from kafka_bridge.retrying import parking, retries
from kafka_bridge.retrying.parking import Head, State
from kafka_bridge.retrying.retries import Copy
from kafka_bridge.runtime.waiting import Stopped
from kafka_bridge.wire import envelope
from kafka_bridge.wire.records import Record

log = logging.getLogger(__name__)
LOOK_EVERY_SECONDS = 1.0
# Then the consumer polls again, however much is due: there may be a signal to hear, or a partition to give back.
TURN_SECONDS = 2.0
# With more copies in hand no further ones are taken until some are done.
IN_HAND_AT_MOST = 5000


class RetryConsumer(group_member.GroupMember):
    """One member of a group's retry consumers. `run` may be called once."""

    def __init__(
        self,
        group: Group,
        stop: threading.Event,
        *,
        after_commit: Callable[[], None] = lambda: None,
        streak: DeadLetterLimit | None = None,
    ) -> None:
        super().__init__(retries.group_name(group.name), stop)
        self.group = group
        self.after_commit = after_commit
        self.streak = streak or DeadLetterLimit(group.name, stop)
        self.handled = self.failed = self.dead = 0
        self._in_hand: list[tuple[float, int, Message, Copy]] = []
        self._number = itertools.count()
        self._looked_at = self._turn_ends_at = 0.0
        self._looked_up_to = ""
        self._ready: dict[str, None] = {}
        """Keys that wait for nothing, in the order in which they were found."""

    # -- the loop -------------------------------------------------------------------------------
    def run(self) -> None:
        """Consume until told to stop; then leave the group at once.

        Raises:
            KafkaException: the client is beyond repair; end the process with an error, a new one starts afresh.
        """
        with self._joined([retries.topic_name(topic.name, self.group.name) for topic in self.group.topics]):
            while not self.stop.is_set():
                self._step()

    def _step(self) -> None:
        messages: list[Message] = []
        try:
            if len(self._in_hand) < IN_HAND_AT_MOST:
                messages = self._take(self._seconds_until_due())
            else:
                self._wait(self._seconds_until_due())
            if self._gone:
                raise Revoked
            self._keep(messages)
            messages = []
            self._turn_ends_at = time.monotonic() + TURN_SECONDS
            self._handle_due()
            self._look_around()
        except Revoked:
            self._in_hand.clear()
            self._start_over(messages)
        else:
            self._commit()

    def _keep(self, messages: list[Message]) -> None:
        for message in messages:
            self._progress.take(group_member.place_of(message), group_member.offset_of(message))
            try:
                copy = retries.read(message)
            except ValueError as error:
                log.error(
                    "%s: %s[%s]@%s is no copy: %s",
                    self.name,
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    error,
                )
                continue
            self._progress.hold(group_member.place_of(message), group_member.offset_of(message))
            heapq.heappush(self._in_hand, (copy.due, next(self._number), message, copy))

    def _seconds_until_due(self) -> float:
        if self._ready:
            return 0.0
        return max(0.0, self._in_hand[0][0] - time.time()) if self._in_hand else group_member.POLL_SECONDS

    def _handle_due(self) -> None:
        """Those that are due, as far as one turn goes."""
        while self._in_hand and self._in_hand[0][0] <= time.time() and not self._is_turn_over():
            _, _, message, copy = self._in_hand[0]
            self._handle_copy(copy)
            heapq.heappop(self._in_hand)
            self._progress.release(group_member.place_of(message), group_member.offset_of(message))

    def _look_around(self) -> None:
        """See Note [Who follows a head]."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_SECONDS:
            self._look()
        for key in list(self._ready):
            if self._is_turn_over():
                return
            del self._ready[key]
            self._work_off(key, self._is_ready)

    def _look(self) -> None:
        overdue = self._options.retry_overdue_seconds
        found = self._patiently(
            partial(parking.look, group=self.group.name, overdue_seconds=overdue, after=self._looked_up_to)
        )
        self._looked_at, self._looked_up_to = time.monotonic(), found.last
        self._ready.update(dict.fromkeys(found.keys))

    def _is_ready(self, head: Head) -> bool:
        overdue = self._options.retry_overdue_seconds
        is_late = head.due is not None and head.due < time.time() - overdue
        return _needs_no_copy(head) or (head.state == State.RETRYING and head.attempts > 0 and is_late)

    def _is_turn_over(self) -> bool:
        return self.stop.is_set() or time.monotonic() > self._turn_ends_at

    # -- one copy -------------------------------------------------------------------------------
    def _handle_copy(self, copy: Copy) -> None:
        place = copy.record.place
        key = self._patiently(partial(parking.key_of, group=self.group.name, place=place))
        if key is not None:
            self._work_off(key, partial(self._is_due, copy), tries=copy.tries)
        elif copy.attempt == 0:
            self._handle_alone(copy)
        # Else it was handled or discarded since: the copy is one too many.

    def _is_due(self, copy: Copy, head: Head) -> bool:
        if head.place != copy.record.place:
            parking.await_turn(group=self.group.name, place=copy.record.place)
            return False
        return head.state == State.RETRYING and head.attempts == copy.attempt

    def _handle_alone(self, copy: Copy) -> None:
        """A dead letter that blocks no key was sent again."""
        trace = message_processing.Trace()
        try:
            received = envelope.decode(copy.record)
            handled = self._patiently(partial(message_processing.handle_alone, self.group, received, trace))
        except (Revoked, Stopped):
            raise
        except (envelope.Malformed, Reject) as error:
            self._bury(copy.record, error, attempts=copy.tries + 1, trace=trace)
        except Exception as error:
            self._park(received, error, copy, trace)
        else:
            self._count(handled.new)

    def _park(self, received: envelope.Received, error: Exception, copy: Copy, trace: message_processing.Trace) -> None:
        words = burial.describe(error)
        park = partial(parking.park, group=self.group.name, message=received, attempts=1, error=words)
        self.failed += 1
        delay = self.group.policy(received.event).delay(1)
        if delay is None:
            self._bury(copy.record, error, attempts=copy.tries + 1, trace=trace)
            self._patiently(partial(park, state=State.DEAD))
        elif self._patiently(partial(park, state=State.RETRYING, delay_seconds=delay)) == State.RETRYING:
            self._copy(copy.record, attempt=1, tries=copy.tries + 1, due=time.time() + delay, error=words)

    # -- a key, from its head on ------------------------------------------------------------------
    def _work_off(self, key: str, is_wanted: Callable[[Head], bool], *, tries: int | None = None) -> None:
        """Handle the head if it is wanted, then those behind it, until one fails, the key is free, or the turn over."""
        while True:
            trace = message_processing.Trace()
            try:
                if not self._patiently(partial(message_processing.handle_head, self.group, key, is_wanted, trace)):
                    return
            except (Revoked, Stopped):
                raise
            except Exception as error:
                if trace.head is None or trace.record is None:
                    raise  # no message's fault
                if not self._is_given_up(trace.head, trace.record, error, trace, tries):
                    return
            else:
                self._count(1)
            if self._is_turn_over():
                self._ready[key] = None  # somebody must go on
                return
            is_wanted, tries = _needs_no_copy, None

    def _is_given_up(
        self, head: Head, record: Record, error: Exception, trace: message_processing.Trace, tries: int | None
    ) -> bool:
        """A head failed. True if it is one no more, and what is behind it can go on."""
        tries = (head.attempts if tries is None else tries) + 1
        self.failed += 1
        if isinstance(error, Reject | envelope.Malformed):
            if head.state != State.RELEASED:
                self._bury(record, error, attempts=tries, trace=trace)
            self._patiently(partial(parking.remove, head))
            return True
        attempts, words = head.attempts + 1, burial.describe(error)
        delay = self.group.policy(envelope.decode(record).event).delay(attempts)
        if delay is None:
            self._bury(record, error, attempts=tries, trace=trace)
        else:
            # The copy first: should we die now, the one in hand comes again, and makes another attempt.
            self._copy(record, attempt=attempts, tries=tries, due=time.time() + delay, error=words)
        self._patiently(partial(parking.note_failure, head, attempts=attempts, delay_seconds=delay, error=words))
        return False

    def _copy(self, record: Record, *, attempt: int, tries: int, due: float, error: str) -> None:
        self._patiently(
            partial(retries.forward_record, self.group.name, record, attempt=attempt, tries=tries, due=due, error=error)
        )

    def _bury(self, record: Record, error: Exception, *, attempts: int, trace: message_processing.Trace) -> None:
        handler = trace.handler.name if trace.handler else ""
        self._patiently(partial(burial.put, self.group.name, record, error=error, attempts=attempts, handler=handler))
        self.dead += 1
        self.streak.another()

    def _count(self, handled: int) -> None:
        self.handled += handled
        if handled:
            self.streak.ended()
        self.after_commit()


def _needs_no_copy(head: Head) -> bool:
    return head.state in (State.WAITING, State.RELEASED)
