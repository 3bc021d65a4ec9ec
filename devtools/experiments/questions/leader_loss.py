"""What is lost when a leader dies while its followers are behind, for several producers at once.

# Note [How the loss is caused]
With healthy followers a message is on all brokers within milliseconds, so a kill rarely hits one that is not. Here the
followers are frozen first (SIGSTOP), as a network that is cut would do it: still counted as in sync, they fetch
nothing. A first message ends the fetches that the leader has in hand. The leader acknowledges it before it answers
them, and what is written between the two would go along; so a moment passes before the rest is written, which is on the
leader alone then. It is killed, the followers go on, and one of them is elected. No election is unclean, and no setting
is unusual.

It has to be quick: followers frozen for as long as `broker.session.timeout.ms` count as dead afterwards. A round that
took too long, because the machine was busy, is void and is played again.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, Message, Producer

from devtools.experiments.lab import Lab

WARM_UP, WRITTEN = 10, 100
FROZEN_SECONDS_MAX = 3.0
_FETCHES_ANSWERED_SECONDS = 0.3
_NEW_LEADER_SECONDS = 90.0
MakeProducer = Callable[[str], Producer]


@dataclass(slots=True)
class Writer:
    """One producer of a round, and what it was told."""

    acks: str
    topic: str
    producer: Producer
    told: set[str] = field(default_factory=set)
    """Messages that it takes for written."""
    alone: int = 0
    """So many of them while the leader was alone."""
    lost: int = 0
    """So many of them that the brokers have not in the end."""

    def write(self, numbers: Sequence[int]) -> None:
        """Hand messages to the client, which sends them meanwhile."""
        for number in numbers:
            self.producer.produce(self.topic, str(number).encode(), on_delivery=self._delivered)
        self.producer.poll(0)

    def finish(self) -> None:
        """Wait until all are acknowledged.

        Raises:
            TimeoutError: they were not.
        """
        if left := self.producer.flush(90):
            raise TimeoutError(f"{left} messages with acks={self.acks} were not acknowledged within 90 s")

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.told.add(_text(message))


class Round:
    """One leader that dies. A round may be played once."""

    def __init__(self, lab: Lab, name: str, acks: Sequence[str], make: MakeProducer) -> None:
        self._lab = lab
        self.leader = lab.random.choice(sorted(lab.cluster.brokers))
        self._followers = [broker for broker in lab.cluster.brokers if broker != self.leader]
        assignment = [[self.leader, *self._followers]]
        self.writers = [
            Writer(each, lab.topic(f"{name}-acks-{each}", assignment=assignment), make(each)) for each in acks
        ]
        self._marker = Writer("1", lab.topic(f"{name}-marker", assignment=assignment), make("1"))

    def play(self, say: Callable[[str], None]) -> bool:
        """Freeze, write, kill, and count; False where it is void."""
        say(f"broker {self.leader} leads, all three are in sync")
        self._warm_up()
        first, second = self._followers
        say(f"followers {first} and {second} are frozen; {WRITTEN} messages are written with each acks")
        is_valid = self._write_to_the_leader_alone()
        say(f"leader {self.leader} is killed, the followers go on: one of them is elected")
        self._lab.wait(self._has_leader, "a new leader", seconds=_NEW_LEADER_SECONDS)
        for writer in self.writers:
            writer.finish()
            writer.lost = len(writer.told - set(map(_text, self._lab.read_all(writer.topic))))
        return is_valid

    def _warm_up(self) -> None:
        every = [*self.writers, self._marker]
        self._lab.wait(lambda: self._are_whole(every), "copies in sync")
        for writer in every:
            writer.write(range(WARM_UP))
            writer.finish()
        self._lab.wait(
            lambda: all(sum(self._lab.ends(each.topic).values()) == WARM_UP for each in every), "copies of the first"
        )

    def _write_to_the_leader_alone(self) -> bool:
        """Whether all was as it should be: what the leader acknowledges alone is there, and it was quick."""
        cluster, began = self._lab.cluster, time.monotonic()
        at_once = [writer for writer in self.writers if writer.acks != "all"]
        cluster.pause(*self._followers)
        try:
            self._marker.write([WARM_UP])
            self._marker.producer.flush(FROZEN_SECONDS_MAX / 3)
            time.sleep(_FETCHES_ANSWERED_SECONDS)
            for writer in self.writers:
                writer.write(range(WARM_UP, WARM_UP + WRITTEN))
            # With acks=all none can be acknowledged now, so nobody waits for that.
            for writer in at_once:
                writer.producer.flush(FROZEN_SECONDS_MAX / 3)
            for writer in self.writers:
                writer.producer.poll(0)
                writer.alone = len(writer.told) - WARM_UP
            cluster.kill(self.leader)
        finally:
            cluster.resume(*self._followers)
        is_quick = time.monotonic() - began < FROZEN_SECONDS_MAX
        return is_quick and len(self._marker.told) == WARM_UP + 1 and all(each.alone == WRITTEN for each in at_once)

    def _are_whole(self, writers: Sequence[Writer]) -> bool:
        topics = self._lab.admin.list_topics(timeout=10).topics
        parts = [topics[writer.topic].partitions[0] for writer in writers if writer.topic in topics]
        in_sync = [part.leader == self.leader and len(part.isrs) == 3 for part in parts]
        return len(parts) == len(writers) and all(in_sync)

    def _has_leader(self) -> bool:
        topics = self._lab.admin.list_topics(timeout=10).topics
        leaders = [topics[writer.topic].partitions[0].leader for writer in self.writers]
        return not {self.leader, -1} & set(leaders) and all(self._lab.ends(each.topic) for each in self.writers)


def _text(message: Message) -> str:
    return (message.value() or b"").decode()
