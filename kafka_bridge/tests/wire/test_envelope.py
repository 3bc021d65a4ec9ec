"""Events on the wire: CloudEvents 1.0, readable by the official SDK, and strict about what comes in."""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from cloudevents.core.bindings import kafka as cloudevents_kafka
from cloudevents.core.formats.json import JSONFormat

from devtools.testing.bridge.bridge_events import created
from kafka_bridge.publishing import outbox
from kafka_bridge.testing import MemoryMessage
from kafka_bridge.wire import envelope

EVENT_ID = UUID("01a1fa65-9e85-72aa-82c1-1b8756119108")
CAUSE_ID = UUID("01a1fa65-9e85-72aa-82c1-000000000001")
WHEN = datetime(2026, 11, 20, 12, 30, 15, 250_000, tzinfo=UTC)


def message(**replaced: bytes | None) -> MemoryMessage:
    """An order.created as it lies in the topic; headers by name, None leaves one out."""
    event = created(UUID(int=5))
    headers = dict(
        envelope.headers(
            event_id=EVENT_ID,
            event_type=event.TYPE,
            version=1,
            source="orders",
            subject=event.key,
            time=WHEN,
            correlation_id=event.order_id,
            causation_id=CAUSE_ID,
            traceparent=outbox.traceparent(event.order_id, EVENT_ID),
        )
    )
    value: bytes | None = replaced.pop("value", envelope.encode_body(event))
    headers |= {name: text for name, text in replaced.items() if text is not None}
    kept = [(name, text) for name, text in headers.items() if replaced.get(name, b"") is not None]
    return MemoryMessage(("orders.events", 1, 42), kept, event.key.encode(), value or b"")


def test_the_official_sdk_reads_it() -> None:
    ours = message()
    theirs = cloudevents_kafka.from_binary(
        cloudevents_kafka.KafkaMessage(headers=dict(ours.headers()), key=ours.key(), value=ours.value()), JSONFormat()
    )
    assert theirs.get_id() == str(EVENT_ID)
    assert theirs.get_type() == "order.created"
    assert theirs.get_source() == "/bookrush/orders"
    assert theirs.get_subject() == str(UUID(int=5))
    assert theirs.get_time() == WHEN
    assert theirs.get_specversion() == "1.0"
    assert theirs.get_datacontenttype() == "application/json"
    assert theirs.get_extension("correlationid") == str(UUID(int=5))
    assert theirs.get_extension("causationid") == str(CAUSE_ID)
    assert theirs.get_extension("traceparent") == f"00-{UUID(int=5).hex}-82c11b8756119108-01"
    assert cast(dict[str, Any], theirs.get_data())["total_minor"] == 1250


def test_it_comes_back_as_it_was() -> None:
    received = envelope.decode(message())
    assert received == envelope.Received(
        event=created(UUID(int=5)),
        id=EVENT_ID,
        correlation_id=UUID(int=5),
        topic="orders.events",
        partition=1,
        offset=42,
        time=WHEN,
    )


def test_fields_of_a_newer_producer_are_ignored() -> None:
    body = envelope.encode_body(created(UUID(int=5)))
    assert envelope.decode(message(value=body[:-1] + b',"gift":true}')).event == created(UUID(int=5))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"ce_id": None}, "header 'ce_id' is missing"),
        ({"ce_time": None}, "header 'ce_time' is missing"),
        ({"ce_time": b"2026-11-20T12:30:15"}, "has no zone"),
        ({"ce_id": b"not an id"}, "a header cannot be read"),
        ({"ce_dataversion": b"2"}, "unknown event 'order.created' version 2"),
        ({"ce_type": b"order.eaten"}, "unknown event 'order.eaten' version 1"),
        ({"value": b"{"}, "the body is no order.created version 1"),
        ({"value": b""}, "the body is no order.created version 1"),
        ({"value": b'{"order_id": 3}'}, "the body is no order.created version 1"),
        ({"value": b"\xff\xfe"}, "the body is no order.created version 1"),
    ],
)
def test_what_is_no_event_is_refused_in_words(broken: dict[str, bytes | None], words: str) -> None:
    """FAILURES 33: a version that nobody knows yet is one of these."""
    with pytest.raises(envelope.Malformed, match=words):
        envelope.decode(message(**broken))


@pytest.mark.security
@pytest.mark.parametrize("broken", [{}, {"ce_id": None}, {"ce_dataversion": b"\xff"}, {"value": b"{"}])
def test_of_a_type_that_is_not_heard_nothing_else_is_looked_at(broken: dict[str, bytes | None]) -> None:
    """XE2: whatever is wrong with it is the matter of those who hear it."""
    with pytest.raises(envelope.NotHeard) as raised:
        envelope.decode(message(**broken), heard={"order.cancelled"})
    assert raised.value.event_type == "order.created"


@pytest.mark.security
@pytest.mark.parametrize("event_type", [None, b"\xff"])
def test_a_message_without_a_type_is_everybodys_matter(event_type: bytes | None) -> None:
    """XE2: nobody knows that it was not meant for them."""
    with pytest.raises(envelope.Malformed):
        envelope.decode(message(ce_type=event_type), heard={"order.cancelled"})
