"""The consumer group that stores every dead letter, for people to look at: `manage.py run_consumer dead_letters`.

It has no handlers and no inbox: what it reads may be no event at all, and storing the same letter twice changes
nothing. Beside it a worker sends the letters that are redriven.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from confluent_kafka import Message
from django.db import connection

from kafka_bridge.consuming import group_member, workers
from kafka_bridge.consuming.consumer_groups import DEAD_LETTERS
from kafka_bridge.consuming.group_member import Revoked
from kafka_bridge.dead_letters import letter_store, redrive_sender
from kafka_bridge.dead_letters.letter_store import DeadLetterCopy
from kafka_bridge.runtime import error_classes, processes
from kafka_bridge.telemetry import activity, partition_counts

log = logging.getLogger(__name__)
NAME = DEAD_LETTERS.name
# Letters are heavy: each has a traceback of some kilobytes in its headers.
BATCH = 200


class DeadLetterConsumer(group_member.GroupMember):
    """One member of the group. `run` may be called once."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(NAME, stop)
        self.stored = self.seen_before = 0

    def run(self) -> None:
        """Store dead letters until told to stop; then commit, and leave the group at once.

        Raises:
            KafkaException: the client is beyond repair; end the process with an error, a new one starts afresh.
        """
        sender = workers.Worker(redrive_sender.send_due, self.stop)
        sender.start()
        try:
            with self._joined([topic.name for topic in DEAD_LETTERS.topics]):
                while not self.stop.is_set():
                    self._step()
        finally:
            sender.wake()
            sender.join(timeout=5)

    def _step(self) -> None:
        messages: list[Message] = []
        try:
            messages = self._fetch(group_member.POLL_SECONDS, at_most=BATCH)
            if self._revoked:
                raise Revoked
            if messages:
                self._store(messages)
            self._pass_over_unreadable()
        except Revoked:
            self._start_over(messages)
        else:
            for message in messages:
                self._offsets.take(group_member.partition_of(message), group_member.offset_of(message))
            self._commit()

    def _store(self, messages: Sequence[Message]) -> None:
        began = time.perf_counter()
        new = self.patiently(partial(_store, messages))
        places = map(group_member.partition_of, messages)
        partition_counts.current.count_handled(self.name, places, time.perf_counter() - began)
        activity.current.progress()
        self.stored += new
        self.seen_before += len(messages) - new

    def _is_waited_out(self, error: Exception) -> bool:
        # Whatever it is, the letters are safe in Kafka; skipping one would hide it for ever.
        return True

    def _note_failure(self, error: Exception, failures: int) -> None:
        reason = error_classes.describe(error)
        connection.close()
        self._waits_for = reason
        self._activity.wait(reason, error)
        log.error("%s: not stored, try %d follows: %s", self.name, failures + 1, reason)

    def _on_joined(self) -> None:
        processes.announce_ready()


def _store(messages: Sequence[Message]) -> int:
    deaths = [letter_store.parse_dead_letter(message) for message in messages]
    try:
        return letter_store.store(deaths)
    except Exception as error:
        if not _is_about_a_letter(error):
            raise
    # One of them cannot be stored, whatever it is; the others can.
    return sum(map(_store_alone, deaths))


def _store_alone(death: DeadLetterCopy) -> int:
    try:
        return letter_store.store([death])
    except Exception as error:
        if not _is_about_a_letter(error):
            raise
        log.exception(
            "%s[%d]@%d: its letter is stored without its contents", death.topic, death.partition, death.offset
        )
        reason = f"its contents could not be stored ({error_classes.describe(error)}); {death.error}"
        return letter_store.store([replace(death, headers=[], value=b"", key="", traceback="", error=reason[:500])])


def _is_about_a_letter(error: Exception) -> bool:
    return not (error_classes.is_infrastructure(error) or error_classes.is_conflict(error))
