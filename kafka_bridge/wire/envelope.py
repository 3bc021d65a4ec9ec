"""An event on the wire: CloudEvents 1.0, Kafka binary content mode.

Every attribute is a `ce_…` header, the body is JSON, the record's key is the event's key. Any CloudEvents SDK reads it
(`kafka_bridge/tests/wire/test_envelope.py` does, with the official one). Written by hand because headers are the hot
path: the SDK's event objects cost ten times what these few lines do. Source: CloudEvents Kafka protocol binding 1.0.2.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from kafka_bridge.runtime import conf
from kafka_bridge.wire import event_types, message_headers
from kafka_bridge.wire.events import Event

_encode = msgspec.json.Encoder().encode
Headers = list[tuple[str, bytes]]
LONGEST_KEY = 120
"""Characters of an event's key; the tables have room for no more."""
# Of the words about what is wrong: they quote headers and bodies of any length.
_LONGEST_WORDS = 500


class Malformed(Exception):
    """The record is no event that this code knows: look at the dead letter's headers, fix the producer, send again."""


class NotHeard(Exception):
    """The reader hears no events of this type, so the record is none of its business: pass it over."""

    def __init__(self, event_type: str, version: str) -> None:
        super().__init__(f"no events of type {event_type!r} are heard")
        self.event_type = event_type
        self.version = version


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An event with where it came from."""

    event: Event
    id: UUID
    correlation_id: UUID
    topic: str
    partition: int
    offset: int
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it was stated, by the database's clock; one made by hand is stated now."""
    raw: Any = field(default=None, compare=False, repr=False)
    """The message it was decoded from, if there is one."""

    def ids(self) -> dict[str, str]:
        """What log lines about it name."""
        headers = message_headers.read(self.raw) if self.raw is not None else []
        trace = next((value for name, value in headers if name == "ce_traceparent" and value), b"")
        return {"key": self.event.key, "event": str(self.id), "trace": trace[:55].decode("ascii", "replace")}


def encode_body(event: Event) -> bytes:
    """The event's fields as JSON."""
    return _encode(event)


def decode_body(event_type: type[Event], body: bytes) -> Event:
    """JSON as an event of this type.

    Raises:
        Malformed: it does not fit, or cannot be kept: its key is too long, or has what PostgreSQL takes in no text.
    """
    try:
        event = _decoder(event_type).decode(body)
        key = event.key
    except MemoryError:
        raise
    except Exception as error:
        # Whatever it is (arrays in arrays in arrays: a RecursionError; what the type itself raises), the body is why.
        name = f"{event_type.TYPE} version {event_type.VERSION}"
        raise Malformed(f"the body is no {name}: {str(error) or type(error).__name__}"[:_LONGEST_WORDS]) from error
    if len(key) > LONGEST_KEY or "\x00" in key:
        raise Malformed(f"an event of {event_type.TYPE} has no such key: {key[:LONGEST_KEY]!r}")
    return event


@cache
def _decoder(event_type: type[Event]) -> "msgspec.json.Decoder[Event]":
    return msgspec.json.Decoder(event_type)


@cache
def _fixed_headers(namespace: str, event_type: str, version: int, source: str) -> Headers:
    """The headers that all events of a type share."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.encode()),
        ("ce_source", f"/{namespace}/{source}".encode()),
        ("ce_dataversion", str(version).encode()),
        ("ce_dataschema", f"urn:{namespace}:{event_type}:v{version}".encode()),
        ("content-type", b"application/json"),
    ]


def headers(
    *,
    event_id: UUID,
    event_type: str,
    version: int,
    source: str,
    subject: str,
    time: datetime,
    correlation_id: UUID,
    causation_id: UUID | None,
    traceparent: str,
) -> Headers:
    """All CloudEvents attributes of one event as Kafka headers."""
    own = [
        ("ce_id", str(event_id).encode()),
        ("ce_time", time.isoformat().encode()),
        ("ce_subject", subject.encode()),
        ("ce_correlationid", str(correlation_id).encode()),
        ("ce_traceparent", traceparent.encode()),
    ]
    if causation_id is not None:
        own.append(("ce_causationid", str(causation_id).encode()))
    return _fixed_headers(conf.current().namespace, event_type, version, source) + own


def decode(message: Any, *, heard: Container[str] | None = None) -> Received:
    """A Kafka message (`confluent_kafka.Message` or alike) as an event; `heard` are the types that the reader hears,
    or None for all.

    Raises:
        NotHeard: it says that it is of another type; nothing else of it was looked at.
        Malformed: a header is missing or unreadable, the type or version is unknown, or the body does not fit its
            schema. Nothing that a message holds makes it raise anything else.
    """
    found = _header_map(message)
    if heard is not None:
        _require_heard(found, heard)
    try:
        event_type, version = found["ce_type"].decode(), int(found["ce_dataversion"])
        event_id, correlation_id = UUID(found["ce_id"].decode()), UUID(found["ce_correlationid"].decode())
        time = datetime.fromisoformat(found["ce_time"].decode())
        if time.tzinfo is None:
            raise ValueError(f"the time {time} has no zone")
        time = time.astimezone(UTC)
    except KeyError as missing:
        raise Malformed(f"header {missing} is missing") from missing
    except (ValueError, OverflowError) as error:
        raise Malformed(f"a header cannot be read: {error}"[:_LONGEST_WORDS]) from error
    known = event_types.find(event_type, version)
    if known is None:
        raise Malformed(f"unknown event {event_type!r} version {version}"[:_LONGEST_WORDS])
    event = decode_body(known, message.value() or b"")
    return Received(
        event=event,
        id=event_id,
        correlation_id=correlation_id,
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        time=time,
        raw=message,
    )


def _require_heard(found: Mapping[str, bytes], heard: Container[str]) -> None:
    try:
        event_type = found["ce_type"].decode()
    except (KeyError, UnicodeDecodeError):
        return  # it might be meant for any reader
    if event_type not in heard:
        raise NotHeard(event_type, found.get("ce_dataversion", b"").decode(errors="replace"))


def _header_map(message: Any) -> Mapping[str, bytes]:
    found = {name: value for name, value in message_headers.read(message) if value is not None}
    if message_headers.UNREADABLE in found:
        raise Malformed("the name of a header is no UTF-8")
    return found
