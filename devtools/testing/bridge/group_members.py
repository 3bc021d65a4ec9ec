"""Members of consumer groups, at work in threads of the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from kafka_bridge import testing
from kafka_bridge.consuming import consumer_process, registry, runner
from kafka_bridge.dead_letters import limit
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients


@pytest.fixture
def make_group() -> Iterator[Callable[[str], registry.Group]]:
    """Makes groups that are gone after the test."""
    made: list[str] = []

    def make(name: str) -> registry.Group:
        made.append(name)
        return registry.Group(name)

    yield make
    for name in made:
        del registry._groups[name]


@contextmanager
def running(group: registry.Group) -> Iterator[runner.Runner]:
    """A member of the group in a thread; it is stopped on leaving."""
    stop = threading.Event()
    member = runner.Runner(group, stop)
    with at_work(member.run, stop):
        yield member


@contextmanager
def at_work(work: Callable[[], object], stop: threading.Event) -> Iterator[None]:
    """What works until it is told to stop, in a thread; it is told on leaving."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


@contextmanager
def working(group: registry.Group) -> Iterator[consumer_process.ConsumerProcess]:
    """A member of the group with its retries, in threads; stopped on leaving."""
    stop = threading.Event()
    member = consumer_process.ConsumerProcess(group, stop)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            member.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield member
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
    assert [error for error in errors if not isinstance(error, limit.TooManyDeadLetters)] == []


def wait_for_members(group: str, number: int, *, timeout_seconds: float = 60) -> None:
    """Wait until the group has so many."""

    def are_there() -> bool:
        try:
            return len(offsets.members_of(group)) == number
        except KafkaException:
            return False  # a broker that has just started takes its time to choose the group's coordinator

    testing.wait_until(are_there, what=f"{number} members", timeout_seconds=timeout_seconds, every_seconds=0.5)


def committed(group: str) -> int:
    """The sum of the group's committed offsets."""
    admin = clients.admin()
    ours = {n: t for n, t in admin.list_topics(timeout=10).topics.items() if n.startswith(clients.conf().topic_prefix)}
    places = [(name, number) for name, topic in ours.items() for number in topic.partitions]
    return sum(offsets.committed_offsets(group, places).values())


def rewind(group: str) -> None:
    """Commit offset 0 everywhere, as if the last commits had been lost."""
    consumer = Consumer(clients.common() | {"group.id": clients.conf().group_prefix + group})
    topic = clients.topic_name("orders.events")
    try:
        consumer.commit(offsets=[TopicPartition(topic, number, 0) for number in range(3)], asynchronous=False)
    finally:
        consumer.close()
