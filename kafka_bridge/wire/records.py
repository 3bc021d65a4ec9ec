"""A message as it came and where it was read first, whichever way it comes back: from its topic, a copy, or a row.

# Note [What names a message]
A place (topic, partition, offset) names no message: a topic that is deleted and created again has another message at
the same place, and one event may lie at two places. So a message that could be read is named by its event's id, like in
the inbox. One that could not be read may claim any id, perhaps that of an event which another group waits for; it is
named by all that there is about it: its place, when it was written, and its contents.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from kafka_bridge.runtime import clients
from kafka_bridge.wire import message_headers
from kafka_bridge.wire.envelope import Headers

Coordinates = tuple[str, int, int]
"""Topic (without the cluster's prefix), partition and offset where a message was read first."""
BRIDGE_HEADERS = ("dlq_", "retry_")
"""How the headers begin that the bridge adds on a message's way; all others are the message's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A message with its coordinates. It can be decoded like one that Kafka delivers: see `envelope.decode`."""

    topic_: str
    """As the catalogue calls it, without the cluster's prefix."""
    partition_: int
    offset_: int
    key_: bytes
    value_: bytes
    headers_: Headers
    message_id: UUID
    """Its name for ever, see Note [What names a message]."""

    @property
    def coordinates(self) -> Coordinates:
        """Where it was read first."""
        return self.topic_, self.partition_, self.offset_

    def topic(self) -> str:
        """The topic's name on this cluster."""
        return clients.topic_name(self.topic_)

    def partition(self) -> int:
        """The partition's number."""
        return self.partition_

    def offset(self) -> int:
        """Its number within the partition."""
        return self.offset_

    def key(self) -> bytes:
        """The event's key."""
        return self.key_

    def value(self) -> bytes:
        """The body."""
        return self.value_

    def headers(self) -> Headers:
        """The message's own headers."""
        return self.headers_

    def header(self, name: str) -> str:
        """A header's text; empty where there is none."""
        return next((value.decode(errors="replace") for found, value in self.headers_ if found == name), "")


def from_message(message: Any, *, event_id: UUID | None = None) -> Record:
    """A message that Kafka has just delivered from its own topic (`confluent_kafka.Message` or alike).

    `event_id` is its event's; None where it could not be read.
    """
    topic = cast(str, message.topic()).removeprefix(clients.conf().topic_prefix)
    place: Coordinates = topic, message.partition(), message.offset()
    key, value, headers = message.key() or b"", message.value() or b"", own_headers(message_headers.read(message))
    return Record(
        topic_=topic,
        partition_=place[1],
        offset_=place[2],
        key_=key,
        value_=value,
        headers_=headers,
        message_id=event_id or id_of_unreadable(place, message.timestamp()[1], key, value, headers),
    )


def of_unread(partition: tuple[str, int], offset: int) -> Record:
    """What stands for a message that the client could not read at all: its place, and nothing of what it holds."""
    topic, number = partition[0].removeprefix(clients.conf().topic_prefix), partition[1]
    return Record(
        topic_=topic,
        partition_=number,
        offset_=offset,
        key_=b"",
        value_=b"",
        headers_=[],
        message_id=id_of_unreadable((topic, number, offset), "unread"),
    )


def id_of_unreadable(*facts: object) -> UUID:
    """The name of a message that has no event id, made of what there is about it; the same for the same facts."""
    return UUID(bytes=hashlib.sha256(repr(facts).encode()).digest()[:16])


def own_headers(headers: Any) -> Headers:
    """Headers without those that the bridge added, and without those that have no value."""
    return [(name, value) for name, value in headers or () if value is not None and not name.startswith(BRIDGE_HEADERS)]
