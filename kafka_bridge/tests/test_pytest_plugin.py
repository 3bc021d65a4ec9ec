"""The fixtures that the package offers to tests of other projects."""

import pytest
from django.db import transaction

from devtools.local.kafka.apache_kafka import ApacheKafka
from devtools.testing.bridge.bridge_events import created
from kafka_bridge import BridgeSettings, publish, testing
from kafka_bridge.runtime import clients
from kafka_bridge.testing import MemoryBroker


def test_a_broker_in_memory(memory_broker: MemoryBroker) -> None:
    with transaction.atomic():
        publish(created())
    memory_broker.advance(1)
    assert memory_broker.delivered == 1


@pytest.mark.slow
def test_the_embedded_broker(embedded_kafka: BridgeSettings) -> None:
    with transaction.atomic():
        publish(created())
    with testing.relaying(), testing.consuming("inventory"):
        testing.wait_until(lambda: testing.had_by("inventory"), what="the event to be handled")
    assert clients.conf() == embedded_kafka


@pytest.fixture(scope="session")
def kafka_servers(_kafka_possible: None, services: object) -> str:
    """This run's own broker is the external one here."""
    broker: ApacheKafka = services.kafka()  # type: ignore[attr-defined]
    return broker.bootstrap_servers


@pytest.mark.kafka
def test_a_real_broker_is_left_as_it_was(external_kafka: BridgeSettings) -> None:
    prefix = external_kafka.topic_prefix
    with transaction.atomic():
        publish(created())
    with testing.relaying(), testing.consuming("inventory"):
        testing.wait_until(lambda: testing.had_by("inventory"), what="the event to be handled")
    assert _ours(prefix)
    testing.delete_topics_and_groups(prefix)
    assert not _ours(prefix)
    with pytest.raises(ValueError, match="every topic"):
        testing.delete_topics_and_groups("")


def _ours(prefix: str) -> list[str]:
    groups = [group.group_id for group in clients.admin().list_consumer_groups().result().valid]
    return [name for name in (*clients.admin().list_topics(timeout=10).topics, *groups) if name.startswith(prefix)]
