"""What traces say of a story: one trace for all its events, whoever states, carries or handles them.

Nothing is handed on beside what messages carry anyway, for ids follow from ids. The story's id is the trace's; the end
of an event's id is that of the span in which the relay sends it (`outbox.traceparent`); that of a handling follows from
the group and the event. So a crash loses spans, and never the connection between those that are left.

# Note [Who decides what is recorded]
The story's id alone: its last seven bytes are random (W3C Trace Context, level 2), so all processes decide alike. What
a request says in its own `traceparent` is linked to, and decides nothing: else strangers would set the cost.
"""

import hashlib
import importlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import UUID

from kafka_bridge.runtime import conf

Kind = Literal["SERVER", "CLIENT", "PRODUCER", "CONSUMER", "INTERNAL"]
Attributes = Mapping[str, str | int]
SAMPLED, NOT_SAMPLED = "01", "00"
NO_PARENT = 0
_RANDOM_BITS = 56


@dataclass(slots=True)
class Request:
    """A request under way, and the stories in which it has stated something."""

    id: bytes = field(default_factory=lambda: os.urandom(8))
    begun: set[UUID] = field(default_factory=set)
    touched: set[UUID] = field(default_factory=set)


class Span(NamedTuple):
    """Something that was done in a story; times in seconds since 1970."""

    name: str
    kind: Kind
    story: UUID
    id: int
    parent: int
    began: float
    ended: float
    attributes: Attributes
    error: str = ""
    """The type of what went wrong, if something did."""
    link: str = ""
    """A `traceparent` that somebody else gave, in the form that it must have."""


_group: ContextVar[str] = ContextVar("group", default="")
_request: ContextVar[Request | None] = ContextVar("request", default=None)


def is_on() -> bool:
    """Whether traces are wanted at all."""
    return conf.current().traces


def is_recorded(story: UUID) -> bool:
    """Whether this story's are. See Note [Who decides what is recorded]."""
    options = conf.current()
    return options.traces and story.int % (1 << _RANDOM_BITS) < options.traces_ratio * (1 << _RANDOM_BITS)


def record(span: Span) -> None:
    """Have it exported, if its story is recorded. Never blocks: what the exporter cannot take is dropped."""
    if is_recorded(span.story):
        # Not imported before: where no traces are wanted, nothing of OpenTelemetry is loaded, or needs to be there.
        importlib.import_module("kafka_bridge.telemetry.trace_export").export(span)


# -- ids ----------------------------------------------------------------------------------------
def of_event(event_id: UUID) -> int:
    """The span in which the relay sends this event."""
    return int.from_bytes(event_id.bytes[8:])


def of_handling(group: str, event_id: UUID) -> int:
    """The span in which a group handles it."""
    return _hashed(group.encode(), event_id.bytes)


def of_beginning(story: UUID) -> int:
    """The request that began this story."""
    return _hashed(b"begun", story.bytes)


def new_id() -> int:
    """For a span that nothing follows from."""
    return int.from_bytes(os.urandom(8))


def _hashed(*parts: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(b"\0".join(parts), digest_size=8).digest())


# -- what is under way ----------------------------------------------------------------------------
@contextmanager
def in_group(name: str) -> Iterator[None]:
    """What follows from an event in this block does so in the group's handling of it."""
    token = _group.set(name)
    try:
        yield
    finally:
        _group.reset(token)


@contextmanager
def in_request() -> Iterator[Request]:
    """What is stated in this block, and follows from no event, follows from the request."""
    request = Request()
    token = _request.set(request)
    try:
        yield request
    finally:
        _request.reset(token)


def begin(story: UUID) -> None:
    """The request under way, if one is, has begun this story."""
    if request := _request.get():
        request.begun.add(story)


def parent_of(story: UUID, cause: UUID | None) -> int:
    """The span in which something happens that follows from this event, or from the request under way."""
    group = _group.get()
    if cause is not None:
        return of_handling(group, cause) if group else of_event(cause)
    if request := _request.get():
        request.touched.add(story)
        return _hashed(request.id, story.bytes)
    return NO_PARENT


# -- the spans --------------------------------------------------------------------------------------
@contextmanager
def timed(name: str, kind: Kind, story: UUID, parent: int, attributes: Attributes) -> Iterator[None]:
    """A span of what is done in this block; one that raises failed."""
    if not is_recorded(story):
        yield
        return
    began, error = time.time(), ""
    try:
        yield
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        record(Span(name, kind, story, new_id(), parent, began, time.time(), attributes, error))


def record_request(request: Request, name: str, began: float, attributes: Attributes, *, error: str, link: str) -> None:
    """The request's span in each story that it had part in."""
    for story in request.begun | request.touched:
        is_root = story in request.begun
        id = of_beginning(story) if is_root else _hashed(request.id, story.bytes)
        record(Span(name, "SERVER", story, id, NO_PARENT, began, time.time(), attributes, error, link))


def record_handling(group: str, messages: Any, seconds: float) -> None:
    """The transaction in which these messages (`Received`) were handled, in the story of each."""
    ended = time.time()
    count = len(messages)
    for message in messages:
        if is_recorded(message.correlation_id):
            id = of_handling(group, message.id)
            record(_handling(group, message, id, ended - seconds, ended, batch=count))


def record_failure(group: str, message: Any, error: Exception, seconds: float) -> None:
    """An attempt to handle this message (`Received`) that raised."""
    ended = time.time()
    span = _handling(group, message, new_id(), ended - seconds, ended, batch=1)
    record(span._replace(error=type(error).__name__))


def _handling(group: str, message: Any, id: int, began: float, ended: float, *, batch: int) -> Span:
    # Names of attributes: OpenTelemetry's semantic conventions for messaging, Kafka and CloudEvents.
    attributes = {
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.consumer.group.name": conf.current().group_prefix + group,
        "messaging.batch.message_count": batch,
        **_place(message.topic, message.partition, message.offset),
        **_event(message.event.TYPE, message.id, message.event.key),
    }
    name = f"process {message.event.TYPE}"
    return Span(name, "CONSUMER", message.correlation_id, id, of_event(message.id), began, ended, attributes)


def record_sending(row: Any, topic: str, partition: int, offset: int) -> None:
    """From the moment in which an outbox row was stated to that in which Kafka had it."""
    attributes = {
        "messaging.operation.type": "send",
        "messaging.operation.name": "send",
        **_place(topic, partition, offset),
        **_event(row.type, row.event_id, row.key),
    }
    id, parent = of_event(row.event_id), int(row.traceparent[36:52], 16)
    began = row.created_at.timestamp()
    # A row that was stated while traces were off names its own span: what it followed from was not recorded.
    parent = NO_PARENT if parent == id else parent
    record(Span(f"send {row.type}", "PRODUCER", row.correlation_id, id, parent, began, time.time(), attributes))


def _place(topic: str, partition: int, offset: int) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }


def _event(event_type: str, event_id: UUID, key: str) -> dict[str, str | int]:
    return {
        "messaging.message.id": str(event_id),
        "messaging.kafka.message.key": key,
        "cloudevents.event_id": str(event_id),
        "cloudevents.event_type": event_type,
    }
