"""Hostile messages against everything that reads one: it finds an event, or says that there is none."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from devtools.testing.bridge import hostile_messages
from devtools.testing.bridge.raw_producer import RawMessage
from kafka_bridge.admin import pages
from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import letter_store
from kafka_bridge.retrying import retry_topic
from kafka_bridge.runtime import conf
from kafka_bridge.wire import copies, envelope, message_headers, records

pytestmark = [pytest.mark.security, pytest.mark.django_db(transaction=True)]
FACTS = {"group": "orders", "error": "E" * 500, "traceback": "T" * 8000}


class Delivered:
    """As a client delivers it."""

    def __init__(self, message: RawMessage) -> None:
        self._message = message

    def topic(self) -> str:
        return self._message.topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def key(self) -> bytes | None:
        return self._message.key

    def value(self) -> bytes | None:
        return self._message.value

    def timestamp(self) -> tuple[int, int]:
        return 1, self._message.timestamp

    def headers(self) -> list[tuple[str, bytes | None]]:
        return [(_name(name), value) for name, value in self._message.headers]


def _name(name: bytes) -> str:
    try:
        return name.partition(b"\x00")[0].decode()
    except UnicodeDecodeError:
        return message_headers.UNREADABLE


def read_in_every_way(message: Any) -> None:
    """As each consumer does, and as pages show it; raises what none of them expects."""
    record = records.from_message(message)
    try:
        event = envelope.decode(message).event
    except envelope.Malformed as error:
        assert len(str(error)) < 10_000
    else:
        assert 0 < len(event.key) <= envelope.LONGEST_KEY
        assert "\x00" not in event.key
    copy = copies.make(copies.Copy(record.key_, record.value_, record.headers_), FACTS, prefix="dlq_")
    size = len(copy.key) + len(copy.value) + sum(len(name.encode()) + len(value) for name, value in copy.headers)
    assert size < conf.max_copy_bytes()
    for group in registry.groups():
        try:
            parsed = retry_topic.parse_copy(message, group)
        except ValueError:
            continue
        assert parsed.record.topic_ in {topic.name for topic in group.topics}
    death = letter_store.parse_dead_letter(message)
    letter_store.store([death])
    pages.as_json(death.value)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hostile_messages.messages())
def test_whatever_a_message_holds_is_read(message: RawMessage) -> None:
    """XB1, XB2, XB3, XE14, FAILURES 47, 48 and 49."""
    read_in_every_way(Delivered(message))


@pytest.mark.prove(long=True)
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hostile_messages.messages())
def test_whatever_ten_thousand_messages_hold_is_read(message: RawMessage) -> None:
    """The long form of the test above."""
    read_in_every_way(Delivered(message))
