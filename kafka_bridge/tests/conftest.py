"""Consumer groups of the tests' own, and a cluster with the catalogue's topics."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kafka_bridge.consuming import registry
from kafka_bridge.runtime import topics


@pytest.fixture
def make_group() -> Iterator[Callable[[str], registry.Group]]:
    """Makes groups that are gone after the test."""
    made: list[str] = []

    def make(name: str) -> registry.Group:
        made.append(name)
        return registry.Group(name)

    yield make
    for name in made:
        registry.forget(name)


@pytest.fixture
def brokers(kafka_cluster: Any, settings: Any) -> Any:
    """Three brokers with topics of which two must have a copy before a fact counts as written."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        bootstrap_servers=kafka_cluster.bootstrap_servers,
        topic_prefix="",
        group_prefix="",
        group_protocol="consumer",
        replication_factor=3,
        min_insync_replicas=2,
    )
    topics.apply(topics.plan())
    return kafka_cluster
