"""The consumer of a group's retry topics: a thread beside each member, in a Kafka group of its own (`<group>.retry`).

It takes copies as they come, keeps them until they are due, and handles the parked messages they stand for; the offset
of a copy moves when that is done. Nothing waits for anything else: a copy that is due in two minutes holds up neither
another partition nor those behind it, and while all of them wait the consumer goes on polling.

# Note [Who follows a head]
A consumer that has handled a head goes on with the messages behind it, each in a transaction of its own. If that
process dies half-way, the next one of the key is a head that no copy stands for. So every second each consumer looks
for heads that wait for nothing, some hundreds at a time and all of them in turn; those that a person released are found
at once.
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
from kafka_bridge.consuming.message_processing import Attempt
from kafka_bridge.consuming.registry import Group, Reject
from kafka_bridge.dead_letters.limit import DeadLetterLimit
from kafka_bridge.retrying import parking, retry_topic, waiting_heads
from kafka_bridge.retrying.failed_messages import FailedMessages
from kafka_bridge.retrying.parking import Head, State
from kafka_bridge.retrying.retry_topic import RetryCopy
from kafka_bridge.runtime import error_classes, topics
from kafka_bridge.runtime.waiting import Stopped
from kafka_bridge.telemetry import partition_counts
from kafka_bridge.wire import envelope
from kafka_bridge.wire.records import Record

log = logging.getLogger(__name__)
FIND_EVERY_SECONDS = 1.0
# Then the consumer polls again, however much is due: there may be a signal to hear, or a partition to give back.
TURN_SECONDS = 2.0
# With more copies in hand no further ones are fetched until some are done.
IN_HAND_AT_MOST = 5000


class RetryConsumer(group_member.GroupMember):
    """One member of a group's retry consumers. `run` may be called once."""

    loop = "retries"

    def __init__(
        self,
        group: Group,
        stop: threading.Event,
        *,
        after_commit: Callable[[], None] = lambda: None,
        dead_letter_limit: DeadLetterLimit | None = None,
    ) -> None:
        super().__init__(topics.retry_group_name(group.name), stop)
        self.group = group
        self.after_commit = after_commit
        self.handled = self.failed = 0
        self._failed = FailedMessages(group, self, dead_letter_limit or DeadLetterLimit(group.name, stop))
        self._in_hand: list[tuple[float, int, Message, RetryCopy]] = []
        """A heap, the one that is due first on top; the number keeps equal ones in sequence."""
        self._number = itertools.count()
        self._found_at = self._turn_ends_at = 0.0
        self._find_after = ""
        self._ready_keys: dict[str, None] = {}
        """Keys whose head waits for nothing, in the order in which they were found."""

    @property
    def dead(self) -> int:
        """Messages given up."""
        return self._failed.dead

    # -- the loop -------------------------------------------------------------------------------
    def run(self) -> None:
        """Consume until told to stop; then leave the group at once.

        Raises:
            KafkaException: the client is beyond repair; end the process with an error, a new one starts afresh.
        """
        with self._joined([topics.retry_topic_name(topic.name, self.group.name) for topic in self.group.topics]):
            while not self.stop.is_set():
                self._step()

    def _step(self) -> None:
        messages: list[Message] = []
        try:
            if len(self._in_hand) < IN_HAND_AT_MOST:
                messages = self._fetch(self._seconds_until_due())
            else:
                self._wait(self._seconds_until_due())
            if self._revoked:
                raise Revoked
            self._take_in_hand(messages)
            # From here on the offset tracker holds what is not done; the others need not be fetched again.
            messages = []
            self._pass_over_unreadable()
            self._turn_ends_at = time.monotonic() + TURN_SECONDS
            self._handle_due()
            self._handle_ready_keys()
        except Revoked:
            self._in_hand.clear()
            self._start_over(messages)
        else:
            self._commit()

    def _take_in_hand(self, messages: list[Message]) -> None:
        for message in messages:
            partition, offset = group_member.partition_of(message), group_member.offset_of(message)
            self._offsets.take(partition, offset)
            try:
                copy = retry_topic.parse_copy(message, self.group)
            except ValueError as error:
                # Passed over: it stands for no parked message, so nothing is lost with it.
                log.error("%s: %s[%d]@%d is no copy: %s", self.name, *partition, offset, error)
                continue
            self._offsets.hold(partition, offset)
            heapq.heappush(self._in_hand, (copy.due, next(self._number), message, copy))

    def _seconds_until_due(self) -> float:
        if self._ready_keys:
            return 0.0
        return max(0.0, self._in_hand[0][0] - time.time()) if self._in_hand else group_member.POLL_SECONDS

    def _handle_due(self) -> None:
        """Those that are due, as far as one turn goes."""
        while self._in_hand and self._in_hand[0][0] <= time.time() and not self._is_turn_over():
            _, _, message, copy = self._in_hand[0]
            self._handle_copy(copy)
            # Only now: should that have raised, the copy stays in hand and its offset stays held.
            heapq.heappop(self._in_hand)
            partition_counts.current.count("handled", self.name, *group_member.partition_of(message))
            self._offsets.release(group_member.partition_of(message), group_member.offset_of(message))

    def _handle_ready_keys(self) -> None:
        """See Note [Who follows a head]."""
        if time.monotonic() - self._found_at >= FIND_EVERY_SECONDS:
            self._find_ready_keys()
        for key in list(self._ready_keys):
            if self._is_turn_over():
                return
            del self._ready_keys[key]
            self._handle_key(key, self._is_ready)

    def _find_ready_keys(self) -> None:
        overdue = self._options.retry_overdue_seconds
        found = self.patiently(
            partial(waiting_heads.find_ready, group=self.group.name, overdue_seconds=overdue, after=self._find_after)
        )
        self._found_at, self._find_after = time.monotonic(), found.last
        self._ready_keys.update(dict.fromkeys(found.keys))

    def _is_ready(self, head: Head) -> bool:
        overdue = self._options.retry_overdue_seconds
        is_late = head.due is not None and head.due < time.time() - overdue
        return _needs_no_copy(head) or (head.state == State.RETRYING and head.attempts > 0 and is_late)

    def _is_turn_over(self) -> bool:
        return self.stop.is_set() or time.monotonic() > self._turn_ends_at

    # -- one copy -------------------------------------------------------------------------------
    def _handle_copy(self, copy: RetryCopy) -> None:
        find_key = partial(parking.key_of, group=self.group.name, event_id=copy.record.message_id)
        key = self.patiently(find_key)
        if key is not None:
            self._handle_key(key, partial(self._is_due, copy), tries=copy.tries)
        elif copy.attempt == 0:
            self._handle_alone(copy)
        # Else it was handled or discarded since: the copy is one too many.

    def _is_due(self, copy: RetryCopy, head: Head) -> bool:
        if head.event_id != copy.record.message_id:
            parking.mark_as_waiting(group=self.group.name, event_id=copy.record.message_id)
            return False
        # In another round there is another copy, or there was one: each attempt is made once.
        return head.state == State.RETRYING and head.attempts == copy.attempt

    def _handle_alone(self, copy: RetryCopy) -> None:
        """A dead letter that blocks no key was sent again."""
        attempt = Attempt()
        try:
            received = parking.readable(copy.record)
            handled = self.patiently(partial(message_processing.handle_alone, self.group, received, attempt))
        except (Revoked, Stopped):
            raise
        except envelope.Malformed as error:
            self._failed.bury(copy.record, error, tries=copy.tries + 1)
        except Reject as error:
            self._count_attempt("failed", copy.record)
            record = parking.original(received)
            self._failed.bury(record, error, tries=copy.tries + 1, handler=attempt.handler_name)
        except Exception as error:
            self.failed += 1
            self._count_attempt("failed", copy.record)
            self._failed.park(received, error, tries=copy.tries + 1, handler=attempt.handler_name)
        else:
            self._count(handled.new)
        self._count_attempt("retried", copy.record)

    # -- a key, from its head on ------------------------------------------------------------------
    def _handle_key(self, key: str, is_wanted: Callable[[Head], bool], *, tries: int | None = None) -> None:
        """Handle the head if it is wanted, then those behind it, until one fails, the key is free, or the turn over."""
        while True:
            attempt = Attempt()
            try:
                if not self.patiently(partial(message_processing.handle_head, self.group, key, is_wanted, attempt)):
                    return
            except (Revoked, Stopped):
                raise
            except Exception as error:
                if attempt.head is None or attempt.record is None:
                    raise  # no message's fault
                self._count_attempt("failed", attempt.record)
                self._count_retry(attempt)
                if not self._is_given_up(attempt.head, attempt.record, error, attempt.handler_name, tries):
                    return
            else:
                self._count_retry(attempt)
                self._count(1)
            if self._is_turn_over():
                self._ready_keys[key] = None  # the next turn goes on with it
                return
            is_wanted, tries = _needs_no_copy, None

    def _is_given_up(self, head: Head, record: Record, error: Exception, handler: str, tries: int | None) -> bool:
        """A head failed. True if it is one no more, and what is behind it can go on."""
        tries = (head.attempts if tries is None else tries) + 1
        self.failed += 1
        if isinstance(error, Reject | envelope.Malformed):
            if head.state != State.RELEASED:
                self._failed.bury(record, error, tries=tries, handler=handler)
            self.patiently(partial(parking.remove, head))
            return True
        attempts, reason = head.attempts + 1, error_classes.describe(error)
        delay = self.group.policy(envelope.decode(record).event).delay(attempts)
        if delay is None:
            self._failed.bury(record, error, tries=tries, handler=handler)
        else:
            # The copy first: should we die now, the one in hand comes again, and makes another attempt.
            self._failed.send_copy(record, attempt=attempts, tries=tries, due=time.time() + delay, error=reason)
        self.patiently(partial(parking.record_failure, head, attempts=attempts, delay_seconds=delay, error=reason))
        return False

    def _count_attempt(self, outcome: partition_counts.Outcome, record: Record) -> None:
        """Where the message lies itself, not its copy: so it counts for its group."""
        partition_counts.current.count(outcome, self.group.name, record.topic(), record.partition())

    def _count_retry(self, attempt: Attempt) -> None:
        """One that was not the first of its message: those behind a head have had none."""
        if attempt.head is not None and attempt.record is not None and attempt.head.state == State.RETRYING:
            self._count_attempt("retried", attempt.record)

    def _count(self, handled: int) -> None:
        self.handled += handled
        if handled:
            self._failed.handled()
        self.after_commit()


def _needs_no_copy(head: Head) -> bool:
    return head.state in (State.WAITING, State.RELEASED)
