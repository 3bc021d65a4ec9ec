"""What others ran into with Kafka's clients, on a real broker (docs/failures.md, What others ran into)."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import NewPartitions

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.group_members import running, working
from devtools.testing.bridge.kafka_logs import forget, put
from devtools.testing.bridge.replays import TOPIC
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import partition_holder, registry
from kafka_bridge.replaying import offsets
from kafka_bridge.runtime import clients

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.kafka,
    pytest.mark.faults,
    pytest.mark.security,
    pytest.mark.usefixtures("kafka", "quick"),
]


@pytest.fixture
def heard(group: registry.Group) -> list[str]:
    """The keys of what a group in the place of notifications has handled."""
    keys: list[str] = []

    @group.on(catalogue.OrderCreated)
    def note(event: catalogue.OrderCreated) -> None:
        keys.append(event.key)

    return keys


def put_some(number: int, *, partition: int = 0) -> list[str]:
    """So many events; returns their keys."""
    events = [created() for _ in range(number)]
    put(*events, partition=partition)
    return [event.key for event in events]


def committed() -> int | None:
    """The group's offset of the first partition."""
    place = (clients.topic_name(TOPIC), 0)
    return offsets.committed_offsets("notifications", [place]).get(place)


def test_a_topic_is_created_again_while_it_is_read(group: registry.Group, heard: list[str]) -> None:
    """The new topic soon has more messages than the old one had: none of its first ones may be taken for read.

    With the classic group protocol they are (docs/failures.md): members have to be stopped first.
    """
    put_some(5)
    with working(group):
        testing.wait_until(lambda: committed() == 5, what="five committed")
        admin, name = clients.admin(), clients.topic_name(TOPIC)
        admin.delete_topics([name])[name].result(30)
        testing.wait_until(lambda: name not in admin.list_topics(timeout=10).topics, what="no topic")
        testing.make_topics(lambda wanted: wanted == name)
        later = put_some(8)
        testing.wait_until(lambda: len(heard) >= 13, what="all of the new topic's")
        assert heard[5:] == later
        testing.wait_until(lambda: committed() == 8, what="the new topic's offset")


def test_a_topic_gets_more_partitions_while_it_is_read(group: registry.Group, heard: list[str]) -> None:
    put_some(3)
    with working(group):
        testing.wait_until(lambda: len(heard) == 3, what="the first ones")
        admin, name = clients.admin(), clients.topic_name(TOPIC)
        admin.create_partitions([NewPartitions(name, 5)])[name].result(20)
        testing.wait_until(lambda: len(admin.list_topics(timeout=10).topics[name].partitions) == 5, what="five")
        put_some(2, partition=4)
        testing.wait_until(lambda: len(heard) == 5, what="those in the new partition")


def test_retention_has_deleted_what_was_not_read(group: registry.Group, heard: list[str]) -> None:
    """The committed offset lies before the first message: the group goes on with the oldest one that is left."""
    put_some(3)
    with working(group):
        testing.wait_until(lambda: committed() == 3, what="three committed")
    left = put_some(5)[3:]
    forget(TOPIC, 0, 6)
    with working(group):
        started = time.monotonic()
        testing.wait_until(lambda: committed() == 8, what="the rest")
        assert time.monotonic() - started < 20
    assert heard[3:] == left


def test_a_member_that_hears_nothing_of_its_partitions_leaves_and_comes_back(
    make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """FAILURES 75: the client has the partitions and never asks for what is in them, as after a broker has thawed."""
    monkeypatch.setattr(partition_holder, "SILENT_SECONDS", 2.0)
    monkeypatch.delitem(registry._groups, "notifications")
    group, told, mute = make_group("notifications"), list[str](), [True]
    group.on(catalogue.OrderCreated)(lambda event: told.append(event.key))
    assign = partition_holder.PartitionHolder._on_assign

    def assign_without_reading(member: Any, consumer: Any, partitions: Any) -> None:
        assign(member, consumer, partitions)
        if mute.pop() if mute else False:
            consumer.incremental_unassign(partitions)

    monkeypatch.setattr(partition_holder.PartitionHolder, "_on_assign", assign_without_reading)
    put(created(), created())
    with running(group):
        testing.wait_until(lambda: len(told) == 2, what="both handled")
    [said] = [each for each in caplog.messages if "nothing was heard" in each]
    assert said.startswith("notifications: leaves and comes back")


def test_a_member_of_empty_partitions_stays(
    make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Their ends are heard."""
    monkeypatch.setattr(partition_holder, "SILENT_SECONDS", 2.0)
    monkeypatch.delitem(registry._groups, "notifications")
    group = make_group("notifications")
    group.on(catalogue.OrderCreated)(lambda event: None)
    with running(group) as member:
        testing.wait_until(lambda: member.assigned and not member._unheard, what="all heard of")
        before = member._consumer.memberid()
        time.sleep(4)  # twice as long as it would wait
        assert member._consumer.memberid() == before
    assert not [each for each in caplog.messages if "nothing was heard" in each]


def test_a_member_that_is_slow_is_not_taken_for_one_that_hears_nothing(
    make_group: Callable[[str], registry.Group],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    """While it handled the first message of all, the others have come, and lie in the client."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, batch_size=1)
    monkeypatch.setattr(partition_holder, "SILENT_SECONDS", 2.0)
    monkeypatch.delitem(registry._groups, "notifications")
    group, told = make_group("notifications"), list[str]()

    @group.on(catalogue.OrderCreated)
    def take_long(event: catalogue.OrderCreated) -> None:
        if not told:
            time.sleep(5)  # longer than silence is borne
        told.append(event.key)

    for partition in range(3):
        put(created(), partition=partition)
    with running(group):
        testing.wait_until(lambda: len(told) >= 3, what="all handled")
    assert not [each for each in caplog.messages if "nothing was heard" in each]
