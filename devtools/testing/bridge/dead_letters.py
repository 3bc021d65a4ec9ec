"""Dead letters for tests: as their group would leave them in Kafka, and as they are stored."""

from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

from confluent_kafka import Message
from django.utils import timezone

from devtools.testing.bridge.bridge_events import created
from kafka_bridge.dead_letters import letter_store
from kafka_bridge.models import DeadLetter, ParkedMessage
from kafka_bridge.wire import envelope, records
from kafka_bridge.wire.events import Event


class Copy:
    """As much of a `confluent_kafka.Message` in a dead letter topic as is read."""

    def __init__(
        self,
        *,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes | None]] | None,
        died_ms: int,
    ) -> None:
        self._topic, self._key, self._value, self._headers, self._died_ms = topic, key, value, headers, died_ms

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self._died_ms


def headers_of(event: Event, **changes: bytes) -> dict[str, bytes]:
    """The headers of an event, some of them changed."""
    found = envelope.headers(
        event_id=uuid4(),
        event_type=event.TYPE,
        version=event.VERSION,
        source=event.TOPIC.owner,
        subject=event.key,
        time=timezone.now(),
        correlation_id=event.correlation_id,
        causation_id=None,
        traceparent="",
    )
    return dict(found) | changes


def copy_of(
    event: Event | None = None,
    *,
    group: str = "notifications",
    offset: int = 0,
    error: str = "ValueError: no",
    attempts: int = 3,
    died_ms: int = 1_700_000_000_000,
    headers: dict[str, bytes] | None = None,
    value: bytes | None = None,
    member: str = "",
    written_ms: int | None = None,
) -> Message:
    """A death of this event, told by this member of its group.

    `written_ms` is when its message was written, of one that could not be read, which its group's own member says.
    """
    event = event or created()
    reason = {
        "dlq_group": group,
        "dlq_topic": event.TOPIC.name,
        "dlq_partition": "1",
        "dlq_offset": str(offset),
        "dlq_attempts": str(attempts),
        "dlq_error": error,
        "dlq_handler": "orders.handlers.mail",
        "dlq_traceback": "Traceback: here",
    }
    own = headers_of(event) if headers is None else headers
    body = envelope.encode_body(event) if value is None else value
    if written_ms is not None:
        name = records.id_of_unreadable((event.TOPIC.name, 1, offset), written_ms, event.key, body, own)
        reason |= {"dlq_id": str(name), "dlq_member": group, "dlq_error": f"Malformed: {error}"}
    elif member:
        reason |= {"dlq_id": own["ce_id"].decode(), "dlq_member": member}
    message = Copy(
        topic=f"{event.TOPIC.name}.{group}.dlq",
        key=event.key.encode(),
        value=body,
        headers=[*own.items(), *((name, fact.encode()) for name, fact in reason.items())],
        died_ms=died_ms,
    )
    return cast(Message, message)


def a_letter(event: Event | None = None, **how: Any) -> DeadLetter:
    """A stored one; `how` as for `copy_of`."""
    how.setdefault("offset", DeadLetter.objects.count())
    letter_store.store([letter_store.parse_dead_letter(copy_of(event, **how))])
    return DeadLetter.objects.latest("id")


def parked(letter: DeadLetter, *behind: Event, state: str = ParkedMessage.State.DEAD) -> list[ParkedMessage]:
    """The letter's message as the head of its key, and others waiting behind it."""
    head = ParkedMessage.objects.create(
        group=letter.group, key=letter.key, state=state, topic=letter.topic, partition=letter.partition,
        offset=letter.offset, event_id=letter.event_id or uuid4(), type=letter.type, headers=letter.headers,
        value=bytes(letter.value), attempts=4, error=letter.error,
    )  # fmt: skip
    rest = [
        ParkedMessage.objects.create(
            group=letter.group, key=letter.key, state=ParkedMessage.State.WAITING, topic=event.TOPIC.name, partition=1,
            offset=1000 + number, event_id=uuid4(), type=event.TYPE, value=envelope.encode_body(event),
        )
        for number, event in enumerate(behind)
    ]  # fmt: skip
    return [head, *rest]


def age(letter: DeadLetter, **span: float) -> None:
    """Have it given up on so long ago."""
    DeadLetter.objects.filter(pk=letter.pk).update(died_at=timezone.now() - timedelta(**span))
