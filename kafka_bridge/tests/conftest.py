"""Consumer groups of the tests' own, and a cluster with the catalogue's topics."""

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from devtools.testing.bridge.group_members import make_group
from kafka_bridge.consuming import registry
from kafka_bridge.runtime import topics

__all__ = ["make_group"]


@pytest.fixture
def brokers(kafka_cluster: Any, settings: Any) -> Any:
    """Three brokers with topics of the test's own, of which two must have a copy before a fact counts as written."""
    kafka_cluster.resume(*(number for number in kafka_cluster.brokers if kafka_cluster.is_running(number)))
    kafka_cluster.start()
    prefix = f"t{uuid.uuid4().hex[:8]}."
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE,
        bootstrap_servers=kafka_cluster.bootstrap_servers,
        topic_prefix=prefix,
        group_prefix=prefix,
        group_protocol="consumer",
        replication_factor=3,
        min_insync_replicas=2,
    )
    topics.apply(topics.plan())
    return kafka_cluster


@pytest.fixture
def quick(settings: Any, kafka: Any) -> None:
    """Short pauses between attempts, and no further rounds."""
    settings.KAFKA_BRIDGE = dataclasses.replace(
        settings.KAFKA_BRIDGE, backoff_seconds=0.02, backoff_max_seconds=0.2, retry_delays_seconds=()
    )


@pytest.fixture
def group(make_group: Callable[[str], registry.Group], monkeypatch: pytest.MonkeyPatch) -> registry.Group:
    """A group of the test's own in the place of notifications, whose dead letter topic exists."""
    monkeypatch.delitem(registry._groups, "notifications")
    return make_group("notifications")
