"""Groups' coordinators are asked in a process that may die of it, and the one that asks lives on."""

import contextlib
import dataclasses
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.relays import send
from events import catalogue
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.monitoring import cluster_reader
from kafka_bridge.monitoring.cluster_reader import ClusterReader
from kafka_bridge.runtime.coordinators.asking import Coordinators

pytestmark = pytest.mark.operations


@pytest.fixture
def coordinators() -> Iterator[Coordinators]:
    with Coordinators() as found:
        yield found


def code_of(error: pytest.ExceptionInfo[KafkaException]) -> int:
    return int(error.value.args[0].code())


def state_of(coordinators: Coordinators, group: str, *, within_seconds: float = 10) -> str:
    """Of a group; empty where it cannot be read."""
    with contextlib.suppress(KafkaException):
        return coordinators.describe([group], within_seconds=within_seconds)[group].state
    return ""


def can_be_read(reader: ClusterReader) -> bool:
    """Whether the cluster says all."""
    with contextlib.suppress(KafkaException):
        return bool(reader.read().groups)
    return False


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("kafka", "quick")
def test_a_child_that_aborts_is_an_error_and_the_next_question_has_another(group: registry.Group) -> None:
    @group.on(catalogue.OrderCreated)
    def hear(event: catalogue.OrderCreated) -> None:
        pass

    reader = ClusterReader()
    child = reader._coordinators
    with testing.relaying(), testing.consuming("notifications"):
        send(created())
        testing.wait_until(lambda: testing.had_by("notifications"), what="the event to be handled")
        [found] = [each for each in reader.read().groups if each.name == "notifications"]
        assert (found.state, len(found.members)) == ("STABLE", 1)
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGABRT)  # as librdkafka does it
        with pytest.raises(KafkaException) as died:
            reader.read()
        assert code_of(died) == KafkaError._TRANSPORT
        assert [each.state for each in reader.read().groups if each.name == "notifications"] == ["STABLE"]
        assert child.pid not in (None, first)
    second = child.pid
    assert child.describe(["nobody_of_that_name"], within_seconds=30)["nobody_of_that_name"] == ("DEAD", ())
    reader.close()
    assert second is not None
    assert not is_there(second)


@pytest.mark.kafka
@pytest.mark.usefixtures("kafka")
def test_a_broker_that_freezes_while_it_is_asked_does_not_end_who_asks(
    coordinators: Coordinators, real_kafka: ApacheKafka
) -> None:
    testing.wait_until(lambda: state_of(coordinators, "a"), what="a first answer", timeout_seconds=60)
    real_kafka.pause()
    try:
        testing.wait_until(lambda: not state_of(coordinators, "b", within_seconds=0.5), what="no answer")
        # With librdkafka 2.16 each of them ends the child by its failed assertion.
        for _ in range(2):
            with pytest.raises(KafkaException) as error:
                coordinators.describe(["b", "c"], within_seconds=0.5)
            assert code_of(error) in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT)
    finally:
        real_kafka.resume()
    # What it missed may end the child once more.
    testing.wait_until(
        lambda: state_of(coordinators, "b") == "DEAD", what="an answer of the thawed broker", timeout_seconds=60
    )


@pytest.mark.kafka
@pytest.mark.prove
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("kafka")
def test_a_look_ends_soon_wherever_in_it_the_broker_freezes(real_kafka: ApacheKafka) -> None:
    reader = ClusterReader()
    for milliseconds in range(0, 180, 30):
        testing.wait_until(lambda: can_be_read(reader), what="a look", timeout_seconds=60)
        freezing = threading.Timer(milliseconds / 1000, real_kafka.pause)
        freezing.start()
        try:
            assert seconds_until_it_fails(reader) < cluster_reader.ANSWER_SECONDS + 4
        finally:
            freezing.join()
            real_kafka.resume()
    reader.close()


def seconds_until_it_fails(reader: ClusterReader) -> float:
    """How long the look took that was not answered, in seconds."""
    while True:
        began = time.monotonic()
        try:
            reader.read()
        except KafkaException:
            return time.monotonic() - began


def test_a_broker_that_says_nothing_ends_in_time(coordinators: Coordinators, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, bootstrap_servers=address)
        began = time.monotonic()
        with pytest.raises(KafkaException) as error:
            coordinators.describe(["inventory"], within_seconds=1)
        assert time.monotonic() - began < 10
    assert code_of(error) == KafkaError._TIMED_OUT
    assert coordinators.describe([], within_seconds=1) == {}
