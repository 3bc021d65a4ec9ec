"""A message as it came and where it was read first, whichever way it comes back: from its topic, a copy, or a row."""

from dataclasses import dataclass
from typing import Any, cast

from kafka_bridge.runtime import clients
from kafka_bridge.wire import message_headers
from kafka_bridge.wire.envelope import Headers

Coordinates = tuple[str, int, int]
"""Topic (without the cluster's prefix), partition and offset where a message was read first: its name for ever."""
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


def from_message(message: Any) -> Record:
    """A message that Kafka has just delivered from its own topic (`confluent_kafka.Message` or alike)."""
    return Record(
        topic_=cast(str, message.topic()).removeprefix(clients.conf().topic_prefix),
        partition_=message.partition(),
        offset_=message.offset(),
        key_=message.key() or b"",
        value_=message.value() or b"",
        headers_=own_headers(message_headers.read(message)),
    )


def own_headers(headers: Any) -> Headers:
    """Headers without those that the bridge added, and without those that have no value."""
    return [(name, value) for name, value in headers or () if value is not None and not name.startswith(BRIDGE_HEADERS)]
