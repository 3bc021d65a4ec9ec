"""What every member of a consumer group needs: joining, fetching, waiting without being thrown out, leaving.

The runner, the retry consumer and the dead letter consumer are members; each adds a loop of its own.

# Note [Partitions that go while messages are in hand]
The callbacks of a rebalance run inside `poll`, also inside that of `_wait`. They only note which partitions went. The
loop then raises `Revoked` at a place where it knows what it has in hand, forgets all of it, and fetches again what it
still has. So a message is either handled by the member that has its partition, or not at all.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from confluent_kafka import KafkaError, Message, TopicPartition
from django.db import close_old_connections, connection

from kafka_bridge.consuming import pause_notices, unreadable_batches
from kafka_bridge.consuming.offset_tracker import OffsetTracker, PartitionId, offset_of, partition_of
from kafka_bridge.consuming.partition_holder import PartitionHolder, topic_partitions
from kafka_bridge.runtime import access_errors, backoff, clients, error_classes
from kafka_bridge.runtime.waiting import Stopped

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
_CHECK_CONNECTION_SECONDS = 1.0
_LINGER_ALONE = 0.2
LEAVE_SECONDS = 8.0
"""So long at the most one who was told to stop takes leave of the group."""
T = TypeVar("T")


class Revoked(Exception):
    """Partitions went to another member while messages were in hand; what is still ours is fetched again."""


class GroupMember(PartitionHolder):
    """One member of one consumer group, in one thread."""

    def __init__(self, name: str, stop: threading.Event, *, patience_seconds: float = 0.0) -> None:
        super().__init__(name)
        self.stop = stop
        self._patience_seconds = patience_seconds
        self._linger_seconds = self._options.batch_linger_seconds
        self._check_connection_at = 0.0
        self._pause_notices: pause_notices.PauseNotices
        self._waits_for = ""
        """The error that keeps a transaction from being done; empty while nothing does."""

    def _run(self, topics: list[str], step: Callable[[], None]) -> None:
        """Take step after step as a member that reads these topics, until told to stop; leave and come back if asked.

        Raises:
            KafkaException: the client is beyond repair.
        """
        while not self.stop.is_set():
            with self._joined(topics):
                while not (self.stop.is_set() or self._is_leaving):
                    step()
            self._forget_all()

    def _forget_all(self) -> None:
        """What was in hand when we left, comes again to whoever has the partitions now."""
        self._offsets = OffsetTracker()
        for found in (self.assigned, self._revoked, self._held, self._ends, self._unreadable, self._unheard):
            found.clear()
        self._is_leaving = self._commit_again = False

    @contextmanager
    def _joined(self, topics: list[str]) -> Iterator[None]:
        """In the group, until told to stop; leaves it at once at the end."""
        self._consumer = clients.consumer(
            group=self.name,
            patience_seconds=self._patience_seconds,
            on_commit=self._on_commit,
            on_error=self._on_error,
        )
        self._pause_notices = pause_notices.PauseNotices(
            self.name, self._consumer, offsets=self._offsets, assigned=lambda: self.assigned
        )
        try:
            self._consumer.subscribe(
                [clients.topic_name(topic) for topic in topics],
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            yield
        except Stopped:
            pass
        finally:
            self._leave()
            self._activity.end()
            connection.close()

    def _leave(self) -> None:
        """Leave the group: others get the partitions now, and not after the session has timed out.

        Brokers that say nothing are asked for the last commit and for our leave, each for as long as a socket waits.
        Who is told to stop does not wait for all of that: what was handled is known to the inbox when it comes again.
        """
        if not self.stop.is_set():
            self._consumer.close()
            return
        leaving = threading.Thread(target=self._consumer.close, name=f"{self.name}-leaving", daemon=True)
        leaving.start()
        leaving.join(LEAVE_SECONDS)
        if leaving.is_alive():
            log.warning("%s: the brokers did not let us go within %g s", self.name, LEAVE_SECONDS)

    # -- messages -------------------------------------------------------------------------------
    def _fetch(self, wait_seconds: float, *, at_most: int | None = None) -> list[Message]:
        """Up to a batch of messages; returns at the latest after half a second, so that SIGTERM is heard.

        Rebalance callbacks run in here. The caller must look at `_revoked` after it has taken hold of the result: a
        fetched message that nobody has in hand would not be fetched again.

        Raises:
            AccessRefused: the brokers do not let us in, or not at what we read.
            KafkaException: the client is beyond repair.
        """
        self._look_at_controls()
        self._activity.turn(self._consumer, self.assigned, self._held, self._waits_for)
        began = time.monotonic()
        first = self._consumer.poll(max(0.0, min(wait_seconds, POLL_SECONDS)))
        if first is None:
            self._note_silence(time.monotonic() - began)
        else:
            self._activity.note_polled(first)
        if self._refused is not None:
            raise access_errors.AccessRefused(self._refused)
        if first is None or self._is_end(first):
            return []
        rest = self._consumer.consume((at_most or self._options.batch_size) - 1, self._linger_seconds)
        messages = [
            message
            for message in (first, *rest)
            if not (self._is_end(message) or self._is_unreadable(message))
            and clients.is_usable(message, reader=self.name)
        ]
        # Where messages come one by one, none of them waits long for company that does not come.
        share = 1.0 if len(messages) > 1 else _LINGER_ALONE
        self._linger_seconds = share * self._options.batch_linger_seconds
        return messages

    def _is_end(self, message: Message) -> bool:
        """Whether it says that a partition has been read to its end; see Note [Gaps at the end]."""
        self._hear(message)
        error = message.error()
        if error is None or error.code() != KafkaError._PARTITION_EOF:
            return False
        self._ends[partition_of(message)] = offset_of(message)
        return True

    def _is_unreadable(self, message: Message) -> bool:
        if not unreadable_batches.is_of_one(message):
            return False
        self._unreadable[partition_of(message)] = offset_of(message)
        return True

    def _pass_over_unreadable(self) -> None:
        """Go on behind the batches that cannot be read; see Note [Batches that cannot be read].

        To be called when what was fetched is done, for that lies before them.

        Raises:
            Revoked, Stopped: as `patiently`.
        """
        for partition, first in self._unreadable.items():
            if partition not in self.assigned:
                continue
            end = self.patiently(partial(unreadable_batches.end_of, partition, first, group=self.name))
            log.error(
                "%s: %s[%d]@%d-%d cannot be decompressed, and is passed over: who may write to that topic?",
                self.name, *partition, first, end - 1,
            )  # fmt: skip
            self._on_passed_over(partition, first, end)
            self._consumer.seek(TopicPartition(*partition, end))
            self._ends[partition] = end
        self._unreadable.clear()

    def _on_passed_over(self, partition: PartitionId, first: int, end: int) -> None:
        """The messages from `first` to before `end` are not going to be read."""

    # -- patience -------------------------------------------------------------------------------
    def patiently(self, action: Callable[[], T]) -> T:
        """Do it; wait out what is not the messages' fault, however long that takes.

        Raises:
            Exception: what the action raised, if waiting does not help.
            Stopped: the process shall end.
            Revoked: a partition went to another member meanwhile.
        """
        try:
            return self._until_it_works(action)
        finally:
            if self._waits_for:
                self._waits_for = ""
                self._pause_notices.clear()

    def _until_it_works(self, action: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                self._check_connection()
                return action()
            except Exception as error:
                if not self._is_waited_out(error):
                    raise
                failures += 1
                self._note_failure(error, failures)
                self._back_off(failures)

    def _is_waited_out(self, error: Exception) -> bool:
        """Whether the same action, done again, is expected to work some day."""
        return error_classes.is_conflict(error) or error_classes.is_infrastructure(error)

    def _note_failure(self, error: Exception, failures: int) -> None:
        reason = error_classes.describe(error)
        if error_classes.is_conflict(error):
            log.info("%s: running the transaction again: %s", self.name, reason)
            return
        # A connection that has seen an error may be half dead, and would fail the next attempt as well.
        connection.close()
        self._waits_for = reason
        self._activity.wait(reason, error)
        log.warning("%s: paused, try %d follows: %s", self.name, failures + 1, reason)

    def _check_connection(self) -> None:
        """Leave one that is too old or broken; once a second is enough, for asking costs a round trip.

        One that breaks in between makes a transaction fail, and that is waited out.
        """
        now = time.monotonic()
        if now >= self._check_connection_at:
            close_old_connections()
            self._check_connection_at = now + _CHECK_CONNECTION_SECONDS

    def _back_off(self, failures: int) -> None:
        pause = backoff.exponential(
            failures,
            first_seconds=self._options.backoff_seconds,
            longest_seconds=self._options.backoff_max_seconds,
            jitter=backoff.QUARTER,
        )
        self._wait(pause)

    def _wait(self, seconds: float) -> None:
        """Wait with the partitions paused, polling on, so that the group does not take us for dead.

        Raises:
            Stopped: the process shall end; what is in hand stays uncommitted and is delivered again.
            Revoked: a partition went to another member meanwhile.
        """
        until = time.monotonic() + seconds
        self._is_paused = True
        self._consumer.pause(topic_partitions(self.assigned))
        try:
            while (left := until - time.monotonic()) > 0:
                if self.stop.is_set():
                    raise Stopped
                self._activity.turn(self._consumer, self.assigned, self._held, self._waits_for)
                # All partitions are paused, so this returns no message; it keeps the member in its group.
                self._consumer.poll(min(left, POLL_SECONDS))
                if self._revoked:
                    raise Revoked
                if self._waits_for:
                    self._pause_notices.publish("paused", self._waits_for, self.assigned)
        finally:
            self._is_paused = False
            self._consumer.resume(topic_partitions(self.assigned - self._held))
