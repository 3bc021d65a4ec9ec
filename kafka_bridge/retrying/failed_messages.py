"""Where a message goes whose attempts in its place are used up: to the retry topic while its key is parked, or to the
dead letters. Both consumers of a group, the one of its topics and the one of its retry topics, use this.
"""

import logging
import time
from functools import partial

from confluent_kafka import KafkaException

from kafka_bridge.consuming.group_member import GroupMember
from kafka_bridge.consuming.registry import Group, Reject
from kafka_bridge.dead_letters import publisher
from kafka_bridge.dead_letters.limit import DeadLetterLimit
from kafka_bridge.retrying import parking, retry_topic
from kafka_bridge.retrying.parking import State
from kafka_bridge.runtime import error_classes
from kafka_bridge.telemetry import log_context, partition_counts
from kafka_bridge.wire.envelope import Malformed, Received
from kafka_bridge.wire.records import Record

log = logging.getLogger(__name__)


class FailedMessages:
    """Parks, copies and buries messages of one group for one of its members, however long what that takes is away."""

    def __init__(self, group: Group, member: GroupMember, dead_letter_limit: DeadLetterLimit) -> None:
        self.parked = self.dead = 0
        self._group = group
        self._member = member
        self._patiently = member.patiently
        self._limit = dead_letter_limit

    def park(self, message: Received, error: Exception, *, tries: int, handler: str) -> None:
        """Its key waits from now on, and it goes to the retry topic, or to the dead letters if no round is left.

        `tries` counts the calls of its handler so far, `handler` names the function that failed.
        """
        record, reason = parking.original(message), error_classes.describe(error)
        park = partial(parking.park, group=self._group.name, message=message, attempts=1, error=reason)
        delay = self._group.policy(message.event).delay(1)
        if delay is None:
            # First the dead letter: should we die in between, the message comes again, and dies again.
            self.bury(record, error, tries=tries, handler=handler)
            self._patiently(partial(park, state=State.DEAD))
            return
        due = time.time() + delay
        # First the row: a copy without one is dropped, while a row without a copy is found when it is overdue.
        state = self._patiently(partial(park, state=State.RETRYING, delay_seconds=delay))
        if state is not None:
            self.parked += 1
            self._count("parked", record)
        if state == State.RETRYING:
            self.send_copy(record, attempt=1, tries=tries, due=due, error=reason)
            with log_context.about(message.ids):
                log.warning(
                    "%s: %s[%d]@%d is parked for %.0f s after %d attempts: %s",
                    self._group.name, *record.coordinates, delay, tries, reason,
                )  # fmt: skip

    def send_copy(self, record: Record, *, attempt: int, tries: int, due: float, error: str) -> None:
        """A copy in the retry topic: it comes back when it is due (seconds since the epoch).

        Where Kafka refuses it for good, what is parked is tried without it, once it is overdue.
        """
        send = partial(
            retry_topic.forward_record,
            self._group.name,
            record,
            attempt=attempt,
            tries=tries,
            due=due,
            error=error,
        )
        try:
            self._patiently(send)
        except KafkaException as refusal:
            if not error_classes.is_refusal(refusal):
                raise
            log.error("%s: Kafka refuses a retry copy: %s", self._group.name, error_classes.describe(refusal))

    def bury(self, record: Record, error: Exception, *, tries: int, handler: str = "") -> None:
        """Put the message among the dead letters, however long the brokers take to say that they have it.

        Only one that its handler failed with counts against the group's limit: whoever can write to a topic may put
        there what cannot be read, or what a handler refuses, and must not be able to stop the group with it.
        """
        self._patiently(
            partial(
                publisher.publish_dead_letter,
                self._group.name,
                record,
                error=error,
                attempts=tries,
                handler=handler,
                member=self._member.name,
            )
        )
        self.dead += 1
        self._count("dead", record)
        if not isinstance(error, Malformed | Reject):
            self._limit.count()

    def _count(self, outcome: partition_counts.Outcome, record: Record) -> None:
        partition_counts.current.count(outcome, self._group.name, record.topic(), record.partition())

    def handled(self) -> None:
        """A message of the group was handled: whatever died before was not a series."""
        self._limit.reset()
