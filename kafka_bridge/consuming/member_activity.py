"""What a member of a group says of itself in the heartbeats of its process."""

import time
from collections.abc import Sized

from confluent_kafka import Consumer, KafkaError, Message

from kafka_bridge.runtime import error_classes
from kafka_bridge.telemetry import activity

LOOK_SECONDS = 5.0
AWAY_SECONDS = 20.0
"""The client complains with each try to connect, of which there is one in twelve seconds or more often. When it has not
for so long, a broker is there again, though there may be nothing to read from it."""


class MemberActivity:
    """Of one member, used by its thread. Only the main one of a process says what the process does."""

    def __init__(self, group: str, loop: str) -> None:
        self._group, self._loop = group, loop
        self._look_at = 0.0
        self._brokers_away_at: float | None = None

    def turn(self, consumer: Consumer, assigned: Sized, waits_for: str) -> None:
        """The loop comes round; now and then, who we are to the brokers and what we do."""
        activity.current.turn(self._loop)
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        activity.current.member_ids[self._group] = consumer.memberid() or ""
        if self._brokers_away_at is not None and now > self._brokers_away_at + AWAY_SECONDS:
            self.note_answer()
        if self._loop == activity.MAIN and not waits_for:
            self._say(len(assigned))

    def _say(self, partitions: int) -> None:
        if self._brokers_away_at is not None:
            activity.current.say("waiting", "no broker of Kafka's answers")
        elif partitions:
            activity.current.say("working", f"reads {partitions} partitions of {self._group}")
        else:
            activity.current.say("standing by", f"has no partition of {self._group}")

    def look_again(self) -> None:
        """Something is different: it is said at the next turn."""
        self._look_at = 0.0

    def wait(self, reason: str, error: Exception) -> None:
        """A transaction cannot be done."""
        if name := error_classes.dependency_of(error):
            activity.current.note_use(name, error=type(error).__name__)
        if self._loop == activity.MAIN:
            activity.current.say("waiting", reason)
            self.look_again()

    def note_error(self, error: KafkaError) -> None:
        """The client complains."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._brokers_away_at = time.monotonic()
            activity.current.note_use("kafka", error=error.name())
            self.look_again()

    def note_polled(self, message: Message) -> None:
        """A message, or the end of a partition, has come from a broker."""
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            self.note_answer()

    def note_answer(self) -> None:
        """A broker answers."""
        activity.current.note_use("kafka")
        if self._brokers_away_at is not None:
            self._brokers_away_at = None
            self.look_again()

    def end(self) -> None:
        """The member leaves its group."""
        activity.current.end_turns(self._loop)
