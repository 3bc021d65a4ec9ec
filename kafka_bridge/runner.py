"""The consume loop of one group: take a batch, handle it, commit the transaction, then the offsets.

What happens when something fails (DESIGN section 4):

| what failed | what happens |
|---|---|
| PostgreSQL, Redis, Kafka or a gateway is away | partitions pause, the loop keeps polling, the same batch again |
| a deadlock or serialization failure | the whole transaction runs again |
| a handler raised, in a batch | the batch is rolled back and run again message by message |
| a handler raised, alone | attempts with exponential backoff, then the dead letter topic |
| the message is malformed, or the handler said Reject | straight to the dead letter topic |

The offset moves only after the effect is committed or the dead letter is acknowledged: no message is ever skipped.
"""

import logging
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from django.db import close_old_connections, connection

from kafka_bridge import clients, dead_letters, envelope, faults, handling, processes
from kafka_bridge.registry import Group, Reject

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
REPORT_EVERY_SECONDS = 10.0
Place = tuple[str, int]


class Revoked(Exception):
    """Partitions of the batch in hand went to another member; what is left of the batch is handled without them."""


class Stopped(Exception):
    """The process was told to stop while it waited; the batch in hand stays uncommitted and is delivered again."""


class Runner:
    """One member of one consumer group. `run` may be called once."""

    def __init__(self, group: Group, stop: threading.Event, *, after_commit: Callable[[], None] = lambda: None) -> None:
        self.group = group
        self.stop = stop
        self.after_commit = after_commit
        self.handled = self.duplicates = self.dead = 0
        self._options = clients.conf()
        self._dead_letters = dead_letters.DeadLetters(group.name)
        self._consumer: Consumer
        self.assigned: set[Place] = set()
        self._gone: set[Place] = set()
        self._waiting = False
        self._reported = (time.monotonic(), 0)

    # -- the loop -------------------------------------------------------------------------------
    def run(self) -> None:
        """Consume until told to stop; then finish the batch, commit, and leave the group at once.

        Raises:
            KafkaException: the client is beyond repair; end the process with an error, a new one starts afresh.
        """
        self._consumer = clients.consumer(group=self.group.name)
        try:
            self._consumer.subscribe(
                [clients.topic_name(topic.name) for topic in self.group.topics],
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self.stop.is_set():
                messages = self._take()
                if messages:
                    self._process(messages)
                self._report()
        except Stopped:
            pass
        finally:
            self._consumer.close()
            connection.close()

    def _take(self) -> list[Message]:
        """Up to a batch of messages; returns at the latest after half a second, so that SIGTERM is heard."""
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return []
        rest = self._consumer.consume(self._options.batch_size - 1, self._options.batch_linger_seconds)
        return [message for message in (first, *rest) if self._is_usable(message)]

    def _is_usable(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.fatal():
            raise KafkaException(error)
        if error.code() != KafkaError._PARTITION_EOF:
            log.warning("%s: %s", self.group.name, error)
        return False

    def _process(self, messages: list[Message]) -> None:
        self._gone.clear()
        try:
            if not self._handle_together(messages):
                self._one_by_one(messages)
        except Revoked:
            # The new owner has them now; those still ours are fetched again.
            self._rewind([message for message in messages if _place(message) not in self._gone])
        else:
            self._commit_offsets(messages)

    def _handle_together(self, messages: list[Message]) -> bool:
        """The whole batch as one transaction; False where that is not possible and messages must go one by one."""
        try:
            self._handle([envelope.decode(message) for message in messages])
        except (Revoked, Stopped):
            raise
        except Exception as error:
            log.warning(
                "%s: a batch of %d failed, running it one by one: %s",
                self.group.name, len(messages), dead_letters.describe(error),
            )  # fmt: skip
            return False
        return True

    def _one_by_one(self, messages: list[Message]) -> None:
        for message in messages:
            try:
                received = envelope.decode(message)
            except envelope.Malformed as error:
                self._bury(message, error, attempts=0)
            else:
                self._try_alone(message, received)

    def _try_alone(self, message: Message, received: envelope.Received) -> None:
        for attempt in range(1, self._options.attempts + 1):
            try:
                self._handle([received])
                return
            except (Revoked, Stopped):
                raise
            except Reject as error:
                self._bury(message, error, attempts=attempt)
                return
            except Exception as error:
                if attempt == self._options.attempts:
                    self._bury(message, error, attempts=attempt)
                    return
                self._wait(attempt, longest_seconds=self._options.backoff_max_seconds)

    def _handle(self, received: list[envelope.Received]) -> None:
        """Handle in one transaction; wait out what is not the messages' fault."""
        failures = 0
        while True:
            try:
                close_old_connections()
                handled = handling.handle(self.group, received)
            except Exception as error:
                failures += 1
                if faults.is_conflict(error):
                    log.info("%s: running the transaction again: %s", self.group.name, dead_letters.describe(error))
                elif faults.is_infrastructure(error):
                    connection.close()
                    log.warning(
                        "%s: paused, try %d follows: %s", self.group.name, failures + 1, dead_letters.describe(error)
                    )
                else:
                    raise
                self._wait(failures, longest_seconds=self._options.backoff_max_seconds)
            else:
                self.handled += handled.new
                self.duplicates += handled.seen_before
                self.after_commit()
                return

    def _bury(self, message: Message, error: Exception, *, attempts: int) -> None:
        """Put the message among the dead letters, however long the brokers take to say that they have it."""
        failures = 0
        while True:
            try:
                self._dead_letters.put(message, error=error, attempts=attempts)
            except KafkaException as refused:
                failures += 1
                log.warning("%s: the dead letter was not taken (%s); trying again", self.group.name, refused)
                self._wait(failures, longest_seconds=self._options.backoff_max_seconds)
            else:
                self.dead += 1
                return

    # -- waiting without losing the partitions ----------------------------------------------------
    def _wait(self, failures: int, *, longest_seconds: float) -> None:
        """Back off with the partitions paused, polling on, so that the group does not take us for dead.

        Raises:
            Stopped: the process shall end.
            Revoked: a partition went to another member meanwhile.
        """
        pause = processes.backoff(
            failures, first_seconds=self._options.backoff_seconds, longest_seconds=longest_seconds
        )
        until = time.monotonic() + pause * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        self._waiting = True
        self._consumer.pause(_partitions(self.assigned))
        try:
            while (left := until - time.monotonic()) > 0:
                if self.stop.is_set():
                    raise Stopped
                self._consumer.poll(min(left, POLL_SECONDS))
                if self._gone:
                    raise Revoked
        finally:
            self._waiting = False
            self._consumer.resume(_partitions(self.assigned))

    # -- offsets and partitions -----------------------------------------------------------------
    def _commit_offsets(self, messages: Iterable[Message]) -> None:
        """Store, then commit without arguments: a commit that names a message can rewind after a revoke."""
        ends: dict[Place, int] = defaultdict(int)
        for message in messages:
            ends[_place(message)] = max(ends[_place(message)], _offset(message) + 1)
        offsets = [TopicPartition(*place, end) for place, end in ends.items() if place in self.assigned]
        if offsets:
            self._consumer.store_offsets(offsets=offsets)
            self._consumer.commit(asynchronous=True)

    def _rewind(self, messages: Iterable[Message]) -> None:
        """Fetch these again: they were in hand, but not handled."""
        starts: dict[Place, int] = {}
        for message in messages:
            starts[_place(message)] = min(starts.get(_place(message), _offset(message)), _offset(message))
        for place, start in starts.items():
            if place in self.assigned:
                self._consumer.seek(TopicPartition(*place, start))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        self.assigned |= _places(partitions)
        if self._waiting:
            consumer.pause(partitions)
        log.info("%s: assigned %s", self.group.name, _names(partitions))
        processes.announce_ready()

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as error:
            # Nothing stored, or the coordinator is away: the next owner gets some messages twice, which is harmless.
            log.debug("%s: no commit on revoke: %s", self.group.name, error)
        consumer.incremental_unassign(partitions)
        log.info("%s: gave back %s", self.group.name, _names(partitions))

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group went on without us: drop the partitions, and never commit for them."""
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)
        log.warning("%s: lost %s", self.group.name, _names(partitions))

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        self._gone |= _places(partitions)
        self.assigned -= _places(partitions)

    def _report(self) -> None:
        since, before = self._reported
        if time.monotonic() - since >= REPORT_EVERY_SECONDS:
            if self.handled > before:
                log.info(
                    "%s: %d handled in %.0f s (in all %d handled, %d seen before, %d dead letters)",
                    self.group.name, self.handled - before, time.monotonic() - since,
                    self.handled, self.duplicates, self.dead,
                )  # fmt: skip
            self._reported = time.monotonic(), self.handled


def _place(message: Message) -> Place:
    return cast(str, message.topic()), cast(int, message.partition())


def _offset(message: Message) -> int:
    """Of a message that is no error, so it has one."""
    return cast(int, message.offset())


def _places(partitions: Iterable[TopicPartition]) -> set[Place]:
    return {(partition.topic, partition.partition) for partition in partitions}


def _partitions(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]


def _names(partitions: list[TopicPartition]) -> str:
    return (
        ", ".join(f"{p.topic}[{p.partition}]" for p in sorted(partitions, key=lambda p: (p.topic, p.partition))) or "-"
    )
