"""What every member of a consumer group needs: joining, taking messages, waiting without being thrown out, leaving."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from django.db import close_old_connections, connection

from kafka_bridge.consuming import pause_notices
from kafka_bridge.consuming.offset_tracker import OffsetTracker, PartitionId
from kafka_bridge.dead_letters import burial
from kafka_bridge.retrying import retries
from kafka_bridge.runtime import clients, error_classes, processes

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
T = TypeVar("T")


class Revoked(Exception):
    """Partitions went to another member while messages were in hand; what is still ours is fetched again."""


class Stopped(Exception):
    """The process was told to stop while it waited; what is in hand stays uncommitted and is delivered again."""


class GroupMember:
    """One member of one consumer group, in one thread."""

    def __init__(self, name: str, stop: threading.Event) -> None:
        self.name = name
        self.stop = stop
        self.assigned: set[PartitionId] = set()
        self._options = clients.conf()
        self._consumer: Consumer
        self._progress = OffsetTracker()
        self._gone: set[PartitionId] = set()
        self._waiting = False
        self._commit_again = False
        self._look_again_at = 0.0
        self._board: pause_notices.PauseNotices
        self._waits_for = ""

    @contextmanager
    def _joined(self, topics: list[str]) -> Iterator[None]:
        """In the group, until told to stop; leaves it at once at the end."""
        self._consumer = clients.consumer(group=self.name, on_commit=self._committed)
        self._board = pause_notices.PauseNotices(
            self.name, self._consumer, progress=self._progress, assigned=lambda: self.assigned
        )
        try:
            self._consumer.subscribe(
                [clients.topic_name(topic) for topic in topics],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            yield
        except Stopped:
            pass
        finally:
            self._consumer.close()
            connection.close()

    # -- messages -------------------------------------------------------------------------------
    def _take(self, wait_seconds: float) -> list[Message]:
        """Up to a batch of messages; returns at the latest after half a second, so that SIGTERM is heard."""
        first = self._consumer.poll(max(0.0, min(wait_seconds, POLL_SECONDS)))
        if first is None:
            return []
        rest = self._consumer.consume(self._options.batch_size - 1, self._options.batch_linger_seconds)
        return [message for message in (first, *rest) if clients.is_usable(message, reader=self.name)]

    # -- patience -------------------------------------------------------------------------------
    def _patiently(self, action: Callable[[], T]) -> T:
        """Do it; wait out what is not the messages' fault, however long that takes.

        Raises:
            Exception: what the action raised, if it was no conflict and everything it needs could be reached.
        """
        try:
            return self._as_often_as_it_takes(action)
        finally:
            if self._waits_for:
                self._waits_for = ""
                self._board.take_back()

    def _as_often_as_it_takes(self, action: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                self._look_after_connection()
                return action()
            except Exception as error:
                failures += 1
                if error_classes.is_conflict(error):
                    log.info("%s: running the transaction again: %s", self.name, burial.describe(error))
                elif error_classes.is_infrastructure(error):
                    connection.close()
                    self._waits_for = burial.describe(error)
                    log.warning("%s: paused, try %d follows: %s", self.name, failures + 1, burial.describe(error))
                else:
                    raise
                self._back_off(failures)

    def _look_after_connection(self) -> None:
        """Leave one that is too old or broken; once a second is enough, for asking costs a round trip.

        One that breaks in between makes a transaction fail, and that is waited out.
        """
        now = time.monotonic()
        if now >= self._look_again_at:
            close_old_connections()
            self._look_again_at = now + 1

    def _back_off(self, failures: int) -> None:
        pause = processes.backoff(
            failures, first_seconds=self._options.backoff_seconds, longest_seconds=self._options.backoff_max_seconds
        )
        self._wait(retries.jittered(pause))

    def _wait(self, seconds: float) -> None:
        """Wait with the partitions paused, polling on, so that the group does not take us for dead.

        Raises:
            Stopped: the process shall end.
            Revoked: a partition went to another member meanwhile.
        """
        until = time.monotonic() + seconds
        self._waiting = True
        self._consumer.pause(_partitions(self.assigned))
        try:
            while (left := until - time.monotonic()) > 0:
                if self.stop.is_set():
                    raise Stopped
                self._consumer.poll(min(left, POLL_SECONDS))
                if self._gone:
                    raise Revoked
                if self._waits_for:
                    self._board.say("paused", self._waits_for, self.assigned)
        finally:
            self._waiting = False
            self._consumer.resume(_partitions(self.assigned))

    # -- offsets and partitions -----------------------------------------------------------------
    def _commit(self) -> None:
        """Store, then commit without arguments: a commit that names a message can rewind after a revoke."""
        offsets = self._progress.to_store(self.assigned)
        if offsets:
            self._consumer.store_offsets(offsets=offsets)
        if offsets or self._commit_again:
            self._commit_again = False
            self._consumer.commit(asynchronous=True)

    def _committed(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """A commit was refused, as happens while members come and go: what is stored is committed once more.

        The next message would do that as well, but there may be none for hours, and until then a lag is shown.
        """
        errors = [each for each in (error, *(place.error for place in places)) if each is not None]
        if any(each.code() != KafkaError._NO_OFFSET for each in errors):
            self._commit_again = True

    def _start_over(self, messages: Iterable[Message]) -> None:
        """After a partition went: forget all that is in hand, these messages too; fetch again what is still ours."""
        for message in messages:
            self._progress.hold(place_of(message), offset_of(message))
        self._progress.forget(self._gone)
        self._begin_anew(self._gone & self.assigned)
        self._gone.clear()
        for place in self.assigned:
            start = self._progress.rewind(place)
            if start is not None:
                self._consumer.seek(TopicPartition(*place, start))

    def _begin_anew(self, back: set[PartitionId]) -> None:
        """Partitions that went and came back within one call of ours, as after we were frozen for too long.

        Messages in hand may be from before or from after, and those from after would not come again by themselves.
        """
        if back:
            self._consumer.incremental_unassign(_partitions(back))
            self._consumer.incremental_assign(_partitions(back))  # from what the group has committed

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        self._progress.forget(_places(partitions))
        self.assigned |= _places(partitions)
        # A pause outlives the loss of a partition: one that was paused then would stand still for ever.
        (consumer.pause if self._waiting else consumer.resume)(partitions)
        log.info("%s: assigned %s", self.name, _names(partitions))
        self._on_joined()

    def _on_joined(self) -> None:
        """Partitions have come; the first time says that the member is ready."""

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            # Nothing stored, or the coordinator is away: the next owner gets some messages twice, which is harmless.
            log.debug("%s: no commit on revoke: %s", self.name, error)
        consumer.incremental_unassign(partitions)
        log.info("%s: gave back %s", self.name, _names(partitions))

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group went on without us: drop the partitions, and never commit for them."""
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)
        log.warning("%s: lost %s", self.name, _names(partitions))

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        self._gone |= _places(partitions)
        self.assigned -= _places(partitions)


def place_of(message: Message) -> PartitionId:
    """A message's topic, as the cluster calls it, and partition."""
    return cast(str, message.topic()), cast(int, message.partition())


def offset_of(message: Message) -> int:
    """Of a message that is no error, so it has one."""
    return cast(int, message.offset())


def _places(partitions: Iterable[TopicPartition]) -> set[PartitionId]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _partitions(places: Iterable[PartitionId]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]


def _names(partitions: list[TopicPartition]) -> str:
    return (
        ", ".join(f"{p.topic}[{p.partition}]" for p in sorted(partitions, key=lambda p: (p.topic, p.partition))) or "-"
    )
