"""What every member of a consumer group needs: joining, fetching, waiting without being thrown out, leaving.

The runner, the retry consumer and the dead letter consumer are members; each adds a loop of its own.

# Note [Partitions that go while messages are in hand]
The callbacks of a rebalance run inside `poll`, also inside that of `_wait`. They only note which partitions went. The
loop then raises `Revoked` at a place where it knows what it has in hand, forgets all of it, and fetches again what it
still has. So a message is either handled by the member that has its partition, or not at all.

# Note [Gaps at the end]
Not every offset is a message. A transaction of Kafka's, such as a stranger may make, ends with a marker that consumers
never see; and compaction leaves gaps. A group that committed only what lies behind its last message would be one behind
for good. So the client tells when it has read a partition to its end, and that is committed like a message.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from django.db import close_old_connections, connection

from kafka_bridge.consuming import pause_notices, unreadable_batches
from kafka_bridge.consuming.member_activity import MemberActivity
from kafka_bridge.consuming.offset_tracker import OffsetTracker, PartitionId
from kafka_bridge.runtime import access_errors, backoff, clients, error_classes
from kafka_bridge.runtime.waiting import Stopped
from kafka_bridge.telemetry import activity

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
_CHECK_CONNECTION_SECONDS = 1.0
T = TypeVar("T")


class Revoked(Exception):
    """Partitions went to another member while messages were in hand; what is still ours is fetched again."""


class GroupMember:
    """One member of one consumer group, in one thread."""

    loop = activity.MAIN
    """What its loop is called among those of the process."""

    def __init__(self, name: str, stop: threading.Event) -> None:
        self.name = name
        self.stop = stop
        self.assigned: set[PartitionId] = set()
        self._options = clients.conf()
        self._consumer: Consumer
        self._offsets = OffsetTracker()
        self._revoked: set[PartitionId] = set()
        """Partitions that went since the loop last looked, those included that have come back since."""
        self._ends: dict[PartitionId, int] = {}
        """Partitions that have just been read to their ends, and the offsets of these."""
        self._unreadable: dict[PartitionId, int] = {}
        """Partitions that stand before a batch which cannot be read, and the first offsets of these."""
        self._is_paused = False
        self._commit_again = False
        self._check_connection_at = 0.0
        self._refused: KafkaError | None = None
        """Why a broker did not let us in, while we have no partitions."""
        self._pause_notices: pause_notices.PauseNotices
        self._waits_for = ""
        """The error that keeps a transaction from being done; empty while nothing does."""
        self._activity = MemberActivity(name, self.loop)

    @contextmanager
    def _joined(self, topics: list[str]) -> Iterator[None]:
        """In the group, until told to stop; leaves it at once at the end."""
        self._consumer = clients.consumer(group=self.name, on_commit=self._on_commit, on_error=self._on_error)
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
            # Leaves the group: others get the partitions now, and not after the session has timed out.
            self._consumer.close()
            self._activity.end()
            connection.close()

    # -- messages -------------------------------------------------------------------------------
    def _fetch(self, wait_seconds: float, *, at_most: int | None = None) -> list[Message]:
        """Up to a batch of messages; returns at the latest after half a second, so that SIGTERM is heard.

        Rebalance callbacks run in here. The caller must look at `_revoked` after it has taken hold of the result: a
        fetched message that nobody has in hand would not be fetched again.

        Raises:
            AccessRefused: the brokers do not let us in, or not at what we read.
            KafkaException: the client is beyond repair.
        """
        self._activity.turn(self._consumer, self.assigned, self._waits_for)
        first = self._consumer.poll(max(0.0, min(wait_seconds, POLL_SECONDS)))
        if first is not None:
            self._activity.note_polled(first)
        if self._refused is not None:
            raise access_errors.AccessRefused(self._refused)
        if first is None or self._is_end(first):
            return []
        rest = self._consumer.consume((at_most or self._options.batch_size) - 1, self._options.batch_linger_seconds)
        return [
            message
            for message in (first, *rest)
            if not (self._is_end(message) or self._is_unreadable(message))
            and clients.is_usable(message, reader=self.name)
        ]

    def _is_end(self, message: Message) -> bool:
        """Whether it says that a partition has been read to its end; see Note [Gaps at the end]."""
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
        self._consumer.pause(_topic_partitions(self.assigned))
        try:
            while (left := until - time.monotonic()) > 0:
                if self.stop.is_set():
                    raise Stopped
                self._activity.turn(self._consumer, self.assigned, self._waits_for)
                # All partitions are paused, so this returns no message; it keeps the member in its group.
                self._consumer.poll(min(left, POLL_SECONDS))
                if self._revoked:
                    raise Revoked
                if self._waits_for:
                    self._pause_notices.publish("paused", self._waits_for, self.assigned)
        finally:
            self._is_paused = False
            self._consumer.resume(_topic_partitions(self.assigned))

    # -- offsets and partitions -----------------------------------------------------------------
    def _commit(self) -> None:
        """Store, then commit without arguments: a commit that names a message can rewind after a revoke."""
        for partition, end in self._ends.items():
            if end and partition in self.assigned:
                self._offsets.take(partition, end - 1)
        self._ends.clear()
        offsets = self._offsets.to_store(self.assigned)
        if offsets:
            self._consumer.store_offsets(offsets=offsets)
        if offsets or self._commit_again:
            self._commit_again = False
            # Not awaited: the offset may lag behind its effects, which the inbox makes harmless.
            self._consumer.commit(asynchronous=True)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """A commit was refused, as happens while members come and go: what is stored is committed once more.

        The next message would do that as well, but there may be none for hours, and until then a lag is shown.
        """
        errors = [each for each in (error, *(partition.error for partition in partitions)) if each is not None]
        if any(each.code() != KafkaError._NO_OFFSET for each in errors):
            self._commit_again = True

    def _on_error(self, error: KafkaError) -> None:
        """A broker that does not know us ends a member that has nothing; with partitions in hand, another one does."""
        self._activity.note_error(error)
        if access_errors.is_sign_in_refused(error) and not self.assigned:
            self._refused = error

    def _start_over(self, messages: Iterable[Message]) -> None:
        """Forget all that is in hand, these messages too, and fetch again what is still ours.

        See Note [Partitions that go while messages are in hand].
        """
        for message in messages:
            self._offsets.hold(partition_of(message), offset_of(message))
        self._ends.clear()
        self._unreadable.clear()
        self._offsets.forget(self._revoked)
        self._restart_from_committed(self._revoked & self.assigned)
        self._revoked.clear()
        for partition in self.assigned:
            start = self._offsets.rewind(partition)
            if start is not None:
                self._consumer.seek(TopicPartition(*partition, start))

    def _restart_from_committed(self, returned: set[PartitionId]) -> None:
        """Partitions that went and came back within one call of ours, as after we were frozen for too long.

        Messages in hand may be from before or from after, and those from after would not come again by themselves.
        """
        if returned:
            self._consumer.incremental_unassign(_topic_partitions(returned))
            self._consumer.incremental_assign(_topic_partitions(returned))  # from what the group has committed

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        # What we knew of a partition that we had before is out of date: another member has had it meanwhile.
        self._offsets.forget(_partition_ids(partitions))
        self.assigned |= _partition_ids(partitions)
        self._refused = None
        self._activity.look_again()
        self._activity.note_answer()
        # A pause outlives the loss of a partition: one that was paused then would stand still for ever.
        (consumer.pause if self._is_paused else consumer.resume)(partitions)
        log.info("%s: assigned %s", self.name, _names(partitions))
        self._on_joined()

    def _on_joined(self) -> None:
        """Partitions have come; the first time says that the member is ready."""

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)
        self._activity.look_again()
        try:
            # Synchronous: once this returns, the next owner may have the partitions, and begins where this commit ends.
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            # Nothing stored, or the coordinator is away: the next owner gets some messages twice, which is harmless.
            log.debug("%s: no commit on revoke: %s", self.name, error)
        consumer.incremental_unassign(partitions)
        log.info("%s: gave back %s", self.name, _names(partitions))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group went on without us: drop the partitions, and never commit for them."""
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)
        log.warning("%s: lost %s", self.name, _names(partitions))

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        self._revoked |= _partition_ids(partitions)
        self.assigned -= _partition_ids(partitions)


def partition_of(message: Message) -> PartitionId:
    """A message's topic, as the cluster calls it, and partition."""
    return cast(str, message.topic()), cast(int, message.partition())


def offset_of(message: Message) -> int:
    """Of a message that is no error, so it has one."""
    return cast(int, message.offset())


def _partition_ids(partitions: Iterable[TopicPartition]) -> set[PartitionId]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _topic_partitions(partitions: Iterable[PartitionId]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]


def _names(partitions: list[TopicPartition]) -> str:
    return (
        ", ".join(f"{p.topic}[{p.partition}]" for p in sorted(partitions, key=lambda p: (p.topic, p.partition))) or "-"
    )
