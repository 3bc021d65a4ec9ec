"""A group in the place of `notifications` whose events are replayed."""

import dataclasses
from contextlib import AbstractContextManager
from typing import Any

import pytest

from devtools.testing.bridge import group_members
from kafka_bridge import testing
from kafka_bridge.consuming import registry, runner

TOPIC = "orders.events"
PROTOCOLS = pytest.mark.parametrize("protocol", ["consumer", "classic"])


def consuming() -> AbstractContextManager[runner.Runner]:
    """The group at work."""
    return group_members.running(registry.find("notifications"))


def had() -> int:
    """How many the group has had."""
    return testing.had_by("notifications")


def use(settings: Any, protocol: str) -> None:
    """Members speak this protocol."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, group_protocol=protocol)
