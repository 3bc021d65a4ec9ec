"""Sizes of messages, copies and topics fit together by one setting, and that is checked."""

import dataclasses
from typing import Any

import pytest

from kafka_bridge import checks
from kafka_bridge.runtime import conf, topics

pytestmark = pytest.mark.security


def test_topics_of_copies_take_what_producers_send_and_that_is_more_than_a_message_has(settings: Any) -> None:
    """XB2, FAILURES 48."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, max_message_bytes=500_000)
    limits = {topic.name: int(topics._config(topic)["max.message.bytes"]) for topic in topics.wanted()}
    assert limits["orders.events"] == 500_000
    own = {limit for name, limit in limits.items() if name.endswith((".retry", ".dlq"))}
    assert own == {conf.max_copy_bytes()} == {500_000 + 65_536}


@pytest.mark.parametrize(("size", "wrong"), [(0, True), (1000, True), (100_000, False), (10**9, True)])
def test_a_size_that_makes_no_sense_is_refused(settings: Any, size: int, wrong: bool) -> None:
    """XB2, FAILURES 48."""
    settings.KAFKA_BRIDGE = dataclasses.replace(settings.KAFKA_BRIDGE, max_message_bytes=size)
    assert ("kafka_bridge.E010" in [found.id for found in checks.check_settings()]) == wrong
