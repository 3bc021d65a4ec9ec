"""What a member says of its partitions while they stand still, so that people can see it from outside.

# Note [Said beside the offset]
A member that waits for PostgreSQL cannot say so in PostgreSQL. It says it in Kafka: next to a committed offset there is
room for metadata, and a client that asks for the offset gets it too. The offset itself stays what it is.

- A commit that names offsets can rewind a group after a revoke. So a member speaks only between two polls, only of
  partitions that it has at this moment, and only after it has asked the brokers what is committed there now.
- Where nothing is committed yet, nothing is said: saying it would commit something.
- A notice is renewed as long as it is true, and signed. One that is old, or that was signed by a member that does
  not have the partition any more, says nothing about now. So nothing is left to tidy up when a member is killed.
- While Kafka cannot be reached nothing can be said, and nothing could be read.
"""

import logging
import time
from collections.abc import Callable
from typing import Literal

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from kafka_bridge.consuming.offset_tracker import OffsetTracker, PartitionId

log = logging.getLogger(__name__)
# A shorter standstill is over before a person looks.
SAY_AFTER_SECONDS = 2.0
RENEW_SECONDS = 10.0
STALE_SECONDS = 30.0
# The member must go on polling; brokers that take longer are in trouble themselves.
_ANSWER_SECONDS = 2.0
_LONGEST_REASON = 200
State = Literal["paused", "retrying"]


class PauseNotice(msgspec.Struct, frozen=True, kw_only=True):
    """Why a partition stands still."""

    state: State
    """Paused: what its messages need cannot be reached. Retrying: some wait in their place to be tried again."""
    since: float
    """Seconds since the epoch."""
    reason: str
    by: str
    """Member id of who says it."""
    said_at: float
    """Seconds since the epoch."""

    def is_current(self, owner: str, now: float) -> bool:
        """Whether it holds at this moment for a partition that this member has."""
        return self.by == owner and now - self.said_at < STALE_SECONDS


def parse_notice(words: str | None) -> PauseNotice | None:
    """The notice beside an offset; None where there is none of ours."""
    if not words:
        return None
    try:
        return msgspec.json.decode(words, type=PauseNotice)
    except msgspec.DecodeError:
        return None


class PauseNotices:
    """Where one member publishes what it waits for. See Note [Said beside the offset]."""

    def __init__(
        self, name: str, consumer: Consumer, *, offsets: OffsetTracker, assigned: Callable[[], set[PartitionId]]
    ) -> None:
        self._name = name
        self._consumer = consumer
        self._offsets = offsets
        self._assigned = assigned
        self._begun: tuple[State, float] | None = None
        self._looked_at = 0.0
        self._said: set[PartitionId] = set()

    def publish(self, state: State, reason: str, partitions: set[PartitionId]) -> None:
        """This is true of these partitions of ours now; call it again and again while it is.

        Says nothing in the first seconds, and renews what it has said now and then. Blocks for two seconds at most.
        """
        if self._begun is None or self._begun[0] != state:
            self._begun, self._looked_at = (state, time.time()), 0.0
        since = self._begun[1]
        if time.time() - since < SAY_AFTER_SECONDS or time.monotonic() - self._looked_at < RENEW_SECONDS:
            return
        self._looked_at = time.monotonic()
        notice = PauseNotice(
            state=state,
            since=since,
            reason=reason[:_LONGEST_REASON],
            by=self._consumer.memberid() or "",
            said_at=time.time(),
        )
        self._said |= self._write(partitions, msgspec.json.encode(notice).decode())
        self._said -= self._write(self._said - partitions, "")

    def clear(self) -> None:
        """It is true no longer. Costs nothing where nothing was said."""
        self._begun = None
        if self._said:
            self._write(self._said, "")
            self._said.clear()

    def _write(self, partitions: set[PartitionId], words: str) -> set[PartitionId]:
        """Write this next to the offsets of these partitions, where they are ours and have one; returns where."""
        ours = partitions & self._assigned()
        if not ours:
            return set()
        try:
            found = self._consumer.committed(
                [TopicPartition(*partition) for partition in ours], timeout=_ANSWER_SECONDS
            )
            there = [
                TopicPartition(*partition, offset, metadata=words)
                for partition, offset in self._offsets.at_least(found).items()
            ]
            if there:
                self._consumer.commit(offsets=there, asynchronous=True)
        except KafkaException as error:
            log.debug("%s: cannot say what it waits for: %s", self._name, error)
            return set()
        return {(each.topic, each.partition) for each in there}
