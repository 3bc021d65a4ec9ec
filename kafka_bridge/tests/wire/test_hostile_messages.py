"""Whatever a stranger writes is read as an event or as no event, and never as anything else."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.kafka_logs import headers
from kafka_bridge.testing import MemoryMessage
from kafka_bridge.wire import envelope, event_types, message_headers
from kafka_bridge.wire.events import Event, Topic

pytestmark = pytest.mark.security
GOOD = envelope.encode_body(created())


def message(body: bytes | None = GOOD, **changes: bytes | None) -> Any:
    """An order.created with this body and these headers changed; None takes one away."""
    event = created()
    found = dict(headers(event, uuid4(), datetime.now(UTC))) | {"ce_type": b"order.created"} | changes
    pairs = [(name, value) for name, value in found.items() if value is not None]
    return MemoryMessage(("orders.events", 0, 0), pairs, event.key.encode(), body)  # type: ignore[arg-type]


def with_junk(junk: bytes) -> bytes:
    """A valid body with a field that no schema knows."""
    return GOOD[:-1] + b',"junk":' + junk + b"}"


BODIES = {
    "deep arrays where nobody looks": with_junk(b"[" * 1500 + b"]" * 1500),
    "deep objects": with_junk(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "deep arrays that do not end": b"[" * 100_000,
    "a tombstone": None,
    "nothing": b"",
    "NUL": b"\x00",
    "NaN": GOOD.replace(b"1250", b"NaN"),
    "infinity": GOOD.replace(b"1250", b"1e999"),
    "half a surrogate pair": GOOD.replace(b'"USD"', b'"\\ud800"'),
    "no UTF-8": GOOD.replace(b'"USD"', b'"\xff\xfe"'),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "a list": b"[1]",
    "a number of a million digits": GOOD.replace(b"1250", b"9" * 1_000_000),
    "a fraction": GOOD.replace(b"1250", b"12.5"),
    "no id": GOOD.replace(b'"order_id":"', b'"order_id":"x'),
    "zeros": b"\x00" * 5_000_000,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_event_is_malformed_and_nothing_worse(body: bytes | None) -> None:
    """XB1, FAILURES 47."""
    with pytest.raises(envelope.Malformed):
        envelope.decode(message(body))


@pytest.mark.parametrize(
    "body", [GOOD + b"  ", with_junk(b'"\\ud83d\\ude00"'), b'{"flow":"x",' + GOOD[1:], with_junk(b"[[]]")]
)
def test_what_is_odd_and_valid_is_read(body: bytes) -> None:
    """Room around it, fields that nobody knows, a field that comes twice: the last one counts."""
    assert envelope.decode(message(body)).event.TYPE == "order.created"


HEADERS: dict[str, dict[str, bytes | None]] = {
    "a version of 5,000 digits": {"ce_dataversion": b"9" * 5000},
    "a version below zero": {"ce_dataversion": b"-1"},
    "a version that is no number": {"ce_dataversion": b"\xff"},
    "an empty type": {"ce_type": b""},
    "a type of a megabyte": {"ce_type": b"t" * 1_000_000},
    "a type that is no UTF-8": {"ce_type": b"\xff\xfe"},
    "a type with NUL": {"ce_type": b"order\x00created"},
    "an id that is none": {"ce_id": b"0"},
    "no id": {"ce_id": None},
    "a time before all calendars": {"ce_time": b"0001-01-01T00:00:00+14:00"},
    "a time after all calendars": {"ce_time": b"9999-12-31T23:59:59-14:00"},
    "a time without a zone": {"ce_time": b"2026-01-01T00:00:00"},
    "a time that is none": {"ce_time": b"-99999999999999999"},
    "a name that is no UTF-8": {message_headers.UNREADABLE: b"x"},
}


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS)
def test_headers_that_are_no_event_s_are_malformed_and_nothing_worse(changes: dict[str, bytes | None]) -> None:
    """XB1, FAILURES 47."""
    with pytest.raises(envelope.Malformed) as raised:
        envelope.decode(message(**changes))
    assert len(str(raised.value)) < 1000


class Named(Event, frozen=True, kw_only=True):
    """An event whose key is what a body says."""

    TYPE = "test.named"
    TOPIC = Topic(name="test.events", owner="test")
    name: str

    @property
    def key(self) -> str:
        """The name; a type's own code may stumble over it."""
        return self.name.removeprefix("long ") * 200 if self.name[0] == "l" else self.name


@pytest.mark.parametrize("name", ["a\x00b", "long key", ""])
def test_a_key_that_no_table_takes_is_malformed(name: str) -> None:
    """XB1, FAILURES 47: what cannot be parked is not handled either."""
    event_types.register(Named)
    try:
        with pytest.raises(envelope.Malformed):
            envelope.decode_body(Named, msgspec.json.encode({"name": name}))
        assert envelope.decode_body(Named, b'{"name":"key"}').key == "key"
    finally:
        event_types.forget(Named)
