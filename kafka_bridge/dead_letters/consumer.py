"""The consumer group that stores every dead letter, for people to look at: `manage.py run_consumer dead_letters`.

It has no handlers and no inbox: what it reads may be no event at all, and storing the same letter twice changes
nothing. Beside it a worker sends what somebody redrives.
"""

import logging
import threading
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from django.db import close_old_connections, connection

from kafka_bridge.consuming import pause_notices, workers
from kafka_bridge.consuming.consumer_groups import DEAD_LETTERS
from kafka_bridge.consuming.offset_tracker import OffsetTracker, PartitionId
from kafka_bridge.dead_letters import burial, letter_store, redrive_sender
from kafka_bridge.runtime import clients, processes

log = logging.getLogger(__name__)
NAME = DEAD_LETTERS.name
BATCH = 200
POLL_SECONDS = 0.5


class DeadLetterConsumer:
    """One member of the group. `run` may be called once."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.stored = self.seen_before = 0
        self._consumer: Consumer
        self._waiting = False
        self._board: pause_notices.PauseNotices

    def run(self) -> None:
        """Store dead letters until told to stop; then commit, and leave the group at once.

        Raises:
            KafkaException: the client is beyond repair; end the process with an error, a new one starts afresh.
        """
        self._consumer = clients.consumer(group=NAME)
        self._board = pause_notices.PauseNotices(NAME, self._consumer, progress=OffsetTracker(), assigned=self._places)
        sender = workers.Worker(redrive_sender.send_due, self.stop)
        sender.start()
        try:
            self._consumer.subscribe(
                [clients.topic_name(topic.name) for topic in DEAD_LETTERS.topics], on_assign=self._assigned
            )
            while not self.stop.is_set():
                messages = [m for m in self._consumer.consume(BATCH, POLL_SECONDS) if clients.is_usable(m, reader=NAME)]
                if messages and self._store(messages):
                    self._commit(messages)
        finally:
            self._consumer.close()
            connection.close()
            sender.wake()
            sender.join(timeout=5)

    def _store(self, messages: Sequence[Message]) -> bool:
        """Store them, however long that takes; False if told to stop meanwhile. None is ever skipped."""
        failures = 0
        while not self.stop.is_set():
            try:
                close_old_connections()
                new = letter_store.store([letter_store.read(message) for message in messages])
            except Exception as error:
                # Whatever it is, the letters are safe in Kafka; skipping one would hide it from everybody.
                failures += 1
                log.error("%s: not stored, try %d follows: %s", NAME, failures + 1, burial.describe(error))
                connection.close()
                self._wait(failures, burial.describe(error))
            else:
                self._board.take_back()
                self.stored += new
                self.seen_before += len(messages) - new
                return True
        return False

    def _wait(self, failures: int, why: str) -> None:
        """Back off with the partitions paused, polling on, so that the group does not take us for dead."""
        options = clients.conf()
        pause = processes.backoff(
            failures, first_seconds=options.backoff_seconds, longest_seconds=options.backoff_max_seconds
        )
        self._waiting = True
        self._consumer.pause(self._consumer.assignment())
        try:
            while pause > 0 and not self.stop.is_set():
                self._consumer.poll(min(pause, POLL_SECONDS))
                pause -= POLL_SECONDS
                self._board.say("paused", why, self._places())
        finally:
            self._waiting = False
            self._consumer.resume(self._consumer.assignment())

    def _commit(self, messages: Sequence[Message]) -> None:
        """What was taken from us meanwhile is not committed: its new owner stores it again, which changes nothing."""
        ends = {(str(m.topic()), m.partition() or 0): (m.offset() or 0) + 1 for m in messages}
        ours = self._places()
        offsets = [TopicPartition(*place, end) for place, end in ends.items() if place in ours]
        if not offsets:
            return
        try:
            self._consumer.store_offsets(offsets=offsets)
            self._consumer.commit(asynchronous=True)
        except KafkaException as error:
            log.debug("%s: not committed: %s", NAME, error)

    def _places(self) -> set[PartitionId]:
        return {(place.topic, place.partition) for place in self._consumer.assignment()}

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        (consumer.pause if self._waiting else consumer.resume)(partitions)  # a pause outlives the loss of a partition
        log.info("%s: assigned %d partitions", NAME, len(partitions))
        processes.announce_ready()
