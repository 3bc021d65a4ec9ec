"""Where an experiment works: a connection, topics and groups of its own, members in threads, and the end of it all.

# Note [Nothing left behind]
All names begin with this machine and the process, so what a killed run has left is known as such, and the next run
deletes it. `Lab.close` deletes what this one has made, also after Ctrl-C.
"""

import contextlib
import os
import random
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from devtools.experiments.member import Handle, Member
from devtools.local.kafka.apache_kafka import ApacheKafka
from kafka_bridge.runtime import waiting
from kafka_bridge.runtime.coordinators.asking import Coordinators

PREFIX = "experiment"
PATIENCE_SECONDS = 60.0
Report = Callable[[str, float], None]
"""What goes on, and how much of all is done, from 0 to 1."""


class Unfinished(Exception):
    """The experiment came to no verdict; the message says why."""


class Lab:
    """One run of one experiment. Use it from one thread, and `close` it."""

    def __init__(
        self,
        *,
        connection: Mapping[str, Any],
        seed: int = 1,
        rounds: int = 1,
        is_short: bool = False,
        report: Report = lambda text, done: None,
        cluster: ApacheKafka | None = None,
    ) -> None:
        """`connection` is how clients reach the brokers, `cluster` its own brokers, where it has some.

        Where chance has a part it happens in `rounds`. With `is_short` it decides with fewer messages, as tests do.
        """
        self.connection = {**connection, "log_level": 0, "error_cb": _ignore}
        self.random = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self.rounds = rounds
        self.is_short = is_short
        self.report = report
        self._cluster = cluster
        self._name = f"{_here()}{os.getpid()}-{secrets.token_hex(3)}"
        self._topics: list[str] = []
        self._groups: list[str] = []
        self._members: list[Member] = []
        self.admin = AdminClient(dict(self.connection))
        sweep(self.admin, self.connection)

    @property
    def cluster(self) -> ApacheKafka:
        """Brokers of its own, which may be killed.

        Raises:
            LookupError: this experiment has none.
        """
        if self._cluster is None:
            raise LookupError("there are no brokers of its own")
        return self._cluster

    @property
    def servers(self) -> str:
        """Where it works."""
        return str(self.connection["bootstrap.servers"])

    def some(self, count: int) -> int:
        """So many, or a quarter of it in the short form."""
        return max(1, count // 4) if self.is_short else count

    # -- topics and groups --------------------------------------------------------------------------
    def topic(self, what: str, *, partitions: int = 1, assignment: list[list[int]] | None = None, **config: str) -> str:
        """Make a topic and wait until it can be used; returns its name. `assignment` are the brokers of each copy."""
        name = f"{self._name}-{what}"
        placing: dict[str, Any] = {"replica_assignment": assignment} if assignment else {"replication_factor": 1}
        self.admin.create_topics([NewTopic(name, partitions, config=config, **placing)])[name].result(PATIENCE_SECONDS)
        self._topics.append(name)
        self.wait(lambda: len(self._ends(name)) == partitions, "the topic's leaders")
        return name

    def group(self, what: str) -> str:
        """The name of a new group."""
        self._groups.append(f"{self._name}-{what}")
        return self._groups[-1]

    def ends(self, topic: str) -> dict[int, int]:
        """By partition, how many messages the broker has."""
        return self._ends(topic)

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """The offset that the broker keeps for the group; 0 for none."""
        reader = Consumer({**self.connection, "group.id": group})
        try:
            [place] = reader.committed([TopicPartition(topic, partition)], timeout=10)
        finally:
            reader.close()
        return max(0, place.offset)

    def _ends(self, topic: str) -> dict[int, int]:
        with contextlib.suppress(KafkaException, KeyError):
            numbers = self.admin.list_topics(topic, timeout=10).topics[topic].partitions
            asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in numbers}  # type: ignore[no-untyped-call]
            return {place.partition: each.result(10).offset for place, each in self.admin.list_offsets(asked).items()}
        return {}

    # -- clients ------------------------------------------------------------------------------------
    def producer(self, **config: Any) -> Producer:
        """A producer with these options, by librdkafka's names with `_` for `.`."""
        return Producer({**self.connection, **_options(config)})

    def member(self, group: str, topic: str, handle: Handle, **config: Any) -> Member:
        """A member of the group, at work in a thread of its own until `dismiss` or the end."""
        options = {**self.connection, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        member = Member({**options, **_options(config)}, topic, handle, number=len(self._members) + 1)
        self._members.append(member)
        member.start()
        return member

    def dismiss(self) -> None:
        """All members leave their groups."""
        for member in self._members:
            member.ask_to_stop()
        for member in self._members:
            member.join(15)
        self._members.clear()

    def read_all(self, topic: str) -> list[Message]:
        """Every message that the broker has now, partition by partition, without a group."""
        found: list[Message] = []
        reader = Consumer({**self.connection, "group.id": f"{self._name}-reader", "enable.auto.commit": False})
        try:
            for number, end in self._ends(topic).items():
                found += _read(reader, TopicPartition(topic, number, 0), end)
        finally:
            reader.close()
        return found

    # -- waiting ------------------------------------------------------------------------------------
    def wait(self, condition: Callable[[], object], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it is true.

        Raises:
            TimeoutError: it did not become true in time.
            KafkaException: a member could not go on.
        """

        def true_or_failed() -> bool:
            return bool(condition()) or any(member.error for member in self._members)

        waiting.until(true_or_failed, what=what, timeout_seconds=seconds, every_seconds=0.02)
        for member in self._members:
            if member.error:
                raise member.error

    def run_for(self, seconds: float) -> None:
        """Let what is at work go on for so long."""
        until = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= until, "the time")

    # -- the end ------------------------------------------------------------------------------------
    def close(self) -> None:
        """End all members, and delete all topics and groups; those of its own brokers go with them."""
        self.dismiss()
        if self._cluster is None:
            _delete(self.admin, self.connection, self._topics, self._groups)


def sweep(admin: AdminClient, connection: Mapping[str, Any]) -> list[str]:
    """Delete what runs on this machine have left that were killed; returns the topics."""
    mine = re.compile(re.escape(_here()) + r"(\d+)-")

    def is_left(name: str) -> bool:
        match = mine.match(name)
        return match is not None and not Path(f"/proc/{match[1]}").exists()

    topics = [name for name in admin.list_topics(timeout=10).topics if is_left(name)]
    listed = admin.list_consumer_groups(request_timeout=10).result(15).valid or []
    groups = [each.group_id for each in listed if is_left(each.group_id)]
    _delete(admin, connection, topics, groups)
    return topics


def _delete(admin: AdminClient, connection: Mapping[str, Any], topics: Sequence[str], groups: Sequence[str]) -> None:
    """Members that were killed hold a group for some more seconds; it is then left to a later run."""
    with Coordinators(connection) as coordinators, contextlib.suppress(KafkaException):
        coordinators.delete(groups, within_seconds=15)
    for future in (admin.delete_topics(list(topics), operation_timeout=15) if topics else {}).values():
        with contextlib.suppress(KafkaException):
            future.result(20)


def _read(reader: Consumer, place: TopicPartition, end: int) -> Iterator[Message]:
    reader.assign([place])
    until, at = time.monotonic() + PATIENCE_SECONDS, 0
    while at < end:
        message = reader.poll(1)
        if message is not None and message.error() is None:
            yield message
            at = int(message.offset() or 0) + 1
        elif time.monotonic() > until:
            raise TimeoutError(f"partition {place.partition} could not be read to its end")


def _here() -> str:
    machine = re.sub(r"[^a-zA-Z0-9]", "", socket.gethostname())[:30]
    return f"{PREFIX}-{machine}-"


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in config.items()}


def _ignore(_: KafkaError) -> None:
    """Who waits for a delivery or a message sees it that way."""
