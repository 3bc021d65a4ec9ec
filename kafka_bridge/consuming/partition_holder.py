"""The partitions that a member has: what may be committed of them, and what happens when they come, go, or are paused.

# Note [Gaps at the end]
Not every offset is a message. A transaction of Kafka's, such as a stranger may make, ends with a marker that consumers
never see; and compaction leaves gaps. A group that committed only what lies behind its last message would be one behind
for good. So the client tells when it has read a partition to its end, and that is committed like a message.

# Note [Held by a person]
A partition that a person paused (see `controls.py`) is treated as one that went and came back: what is in hand of it is
forgotten. Then it stays paused, through rebalances and pauses of our own, until nobody wants that any more.

# Note [Offsets a few times a second]
To a broker a commit is a message more, written and copied like any other. So offsets are stored in the client after
each batch, and committed a few times a second. Who gives partitions back commits all that is stored. Only after a crash
the messages of the last moment come again; the inbox knows them, and they change nothing.

# Note [Partitions of which nothing is heard]
After a broker thaws, it happens that the client asks for the committed offsets at the wrong moment, is told that this
is no coordinator, and asks no more: the member has its partitions, is in its group, and reads nothing for good. So of
each partition that comes, either a message or its end must be heard; where neither comes while half a minute was
listened in vain, the member leaves and comes back with a new client. Should that not help (a partition may have no
leader), it listens twice as long the next time: to come and go disturbs the others. The time in which it handled
messages, or had paused, does not count: what has come meanwhile lies in the client.
"""

import logging
import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kafka_bridge.consuming import controls
from kafka_bridge.consuming.member_activity import MemberActivity
from kafka_bridge.consuming.offset_tracker import OffsetTracker, PartitionId, offset_of, partition_of
from kafka_bridge.runtime import access_errors, clients
from kafka_bridge.telemetry import activity

log = logging.getLogger(__name__)
SILENT_SECONDS, SILENT_SECONDS_MAX = 30.0, 480.0


class PartitionHolder:
    """Part of one member of one consumer group, in one thread."""

    loop = activity.MAIN
    """What its loop is called among those of the process."""

    def __init__(self, name: str) -> None:
        self.name = name
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
        self._controls = controls.ControlReader(self._controlled_as)
        self._held: set[PartitionId] = set()
        """Those of ours that a person paused; see Note [Held by a person]."""
        self._is_leaving = False
        """A person asked us to leave and come back, or nothing is heard of what we have."""
        self._unheard: dict[PartitionId, float] = {}
        """Partitions that have come and of which nothing was heard yet, and how long had been listened by then."""
        self._listened_seconds = 0.0
        """How long it was listened in vain, all together."""
        self._silent_seconds = SILENT_SECONDS
        self._commit_again = False
        """Something is stored that is not committed, or a commit was refused."""
        self._commit_at = 0.0
        """By the monotonic clock; see Note [Offsets a few times a second]."""
        self._refused: KafkaError | None = None
        """Why a broker did not let us in, while we have no partitions."""
        self._activity = MemberActivity(name, self.loop)

    @property
    def _controlled_as(self) -> str:
        """The group that people pause when they mean us."""
        return self.name

    def _look_at_controls(self) -> None:
        """Do what a person has us do now. The caller finds in `_revoked` what is to be forgotten."""
        if not self._controls.look():
            return
        if self._controls.must_rejoin(self._consumer.memberid()):
            log.info("%s: leaves and comes back, as a person asked", self.name)
            self._is_leaving = True
        held = {partition for partition in self.assigned if self._is_held(partition)}
        if held == self._held:
            return
        newly, freed = held - self._held, self._held - held
        self._held = held
        self._activity.look_again()
        self._revoked |= newly
        self._consumer.pause(topic_partitions(newly))
        self._consumer.resume(topic_partitions(freed))
        self._unheard |= dict.fromkeys(self._unheard.keys() & freed, self._listened_seconds)
        for what, partitions in (("paused by a person", newly), ("goes on", freed)):
            if partitions:
                log.info("%s: %s: %s", self.name, what, names_of(topic_partitions(partitions)))

    # -- Silence: see Note [Partitions of which nothing is heard] -----------------------------------
    def _note_silence(self, seconds: float) -> None:
        """Nothing came for so long."""
        if not self._unheard:
            return
        self._listened_seconds += seconds
        before = self._listened_seconds - self._silent_seconds
        silent = {each for each, since in self._unheard.items() if since < before and each not in self._held}
        if silent:
            names = names_of(topic_partitions(silent))
            log.warning(
                "%s: leaves and comes back, as nothing was heard of %s for %.0f s",
                self.name, names, self._silent_seconds,
            )  # fmt: skip
            self._silent_seconds = min(2 * self._silent_seconds, SILENT_SECONDS_MAX)
            self._is_leaving = True

    def _hear(self, message: Message) -> None:
        """It says that its partition is read, be it only by its end."""
        if self._unheard and message.topic() is not None:
            self._unheard.pop(partition_of(message), None)
            if not self._unheard:
                self._silent_seconds = SILENT_SECONDS

    def _is_held(self, partition: PartitionId) -> bool:
        """Whether a person paused it."""
        topic, number = partition
        return self._controls.is_paused(topic.removeprefix(self._options.topic_prefix), number)

    def _commit(self) -> None:
        """Store, then commit without arguments: a commit that names a message can rewind after a revoke."""
        for partition, end in self._ends.items():
            if end and partition in self.assigned:
                self._offsets.take(partition, end - 1)
        self._ends.clear()
        offsets = self._offsets.to_store(self.assigned)
        if offsets:
            self._consumer.store_offsets(offsets=offsets)
            self._commit_again = True
        if self._commit_again and (now := time.monotonic()) >= self._commit_at:
            self._commit_again, self._commit_at = False, now + self._options.commit_seconds
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
            self._consumer.incremental_unassign(topic_partitions(returned))
            self._consumer.incremental_assign(topic_partitions(returned))  # from what the group has committed
            self._consumer.pause(topic_partitions(returned & self._held))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        # What we knew of a partition that we had before is out of date: another member has had it meanwhile.
        self._offsets.forget(_partition_ids(partitions))
        self.assigned |= _partition_ids(partitions)
        self._unheard |= dict.fromkeys(_partition_ids(partitions), self._listened_seconds)
        self._refused = None
        self._activity.look_again()
        self._activity.note_answer()
        # A pause outlives the loss of a partition: one that was paused then would stand still for ever.
        (consumer.pause if self._is_paused else consumer.resume)(partitions)
        held = {partition for partition in _partition_ids(partitions) if self._is_held(partition)}
        consumer.pause(topic_partitions(held))
        self._held |= held
        log.info("%s: assigned %s", self.name, names_of(partitions))
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
        log.info("%s: gave back %s", self.name, names_of(partitions))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The group went on without us: drop the partitions, and never commit for them."""
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)
        log.warning("%s: lost %s", self.name, names_of(partitions))

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        self._revoked |= _partition_ids(partitions)
        self.assigned -= _partition_ids(partitions)
        self._held -= _partition_ids(partitions)
        for partition in _partition_ids(partitions):
            self._unheard.pop(partition, None)


def _partition_ids(partitions: Iterable[TopicPartition]) -> set[PartitionId]:
    return {(partition.topic, partition.partition) for partition in partitions}


def topic_partitions(partitions: Iterable[PartitionId]) -> list[TopicPartition]:
    return [TopicPartition(*partition) for partition in partitions]


def names_of(partitions: list[TopicPartition]) -> str:
    return (
        ", ".join(f"{p.topic}[{p.partition}]" for p in sorted(partitions, key=lambda p: (p.topic, p.partition))) or "-"
    )
