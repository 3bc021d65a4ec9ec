"""Stating facts: `publish` writes a row in the caller's transaction, and nothing else.

The fact and its cause commit or roll back together; `relay.py` does the sending.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from kafka_bridge.runtime import conf
from kafka_bridge.runtime.postgresql import bulk_rows, transactions
from kafka_bridge.telemetry import tracing
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received
from kafka_bridge.wire.events import Event

CHANNEL = "kafka_bridge_outbox"
# Room for key and headers beside the body.
_HEADERS_BYTES = 4096


class Caused(NamedTuple):
    """An event with the id of the one that it follows from, for what is stated later than in the handler of that."""

    event: Event
    by: UUID | None
    """None for what follows from no event; then, in a handler, from the message that is being handled."""


Statement = Event | Caused
_collected: ContextVar[list[Statement] | None] = ContextVar("collected", default=None)
_NO_CAUSES: Mapping[str, Received] = MappingProxyType({})
_causes: ContextVar[Mapping[str, Received]] = ContextVar("causes", default=_NO_CAUSES)

_COLUMNS = "event_id, topic, key, type, version, correlation_id, causation_id, traceparent"
_ROWS = f"""
    INSERT INTO kafka_bridge_outboxrow ({_COLUMNS}, body)
    SELECT {_COLUMNS}, convert_to(body::text, 'UTF8')
    FROM json_to_recordset(%s) AS s(event_id uuid, topic text, key text, type text, version int, correlation_id uuid,
        causation_id uuid, traceparent text, body json)
"""  # noqa: S608 - made of the constants above
# One round trip: the rows, and the word to the relay that there are some.
INSERT = f"""
WITH stated AS ({_ROWS} RETURNING 1)
SELECT pg_notify('{CHANNEL}', '') FROM stated LIMIT 1
"""  # noqa: S608 - the only thing put in is the constant above


class EventTooLarge(ValueError):
    """No topic takes an event of this size, so it cannot be stated: state less in one, or raise max_message_bytes."""


class Splice:
    """`publish` as a part of a statement of the caller's own, for the one place so busy that a round trip more counts.

    `query` goes into a WITH clause and takes one parameter, which `rows` makes. All that `publish` promises holds:
    it is one statement, so the events and what made them true commit together, and the relay is told. What it cannot
    do is hold back for `collect`, so it is for statements outside of handlers: for events that begin a story, whose
    request says so by `tracing.begin`.
    """

    def __init__(self, *, where: str) -> None:
        """`where` says which events are stated after all; it may name columns of the outbox and other WITH queries."""
        self.query = f"{_ROWS} WHERE {where} RETURNING pg_notify('{CHANNEL}', '')"

    @staticmethod
    def rows(events: Iterable[Event]) -> str:
        """What the statement takes for these events."""
        return bulk_rows.as_json([row_of(event, is_first=True) for event in events])


def publish(*events: Statement) -> None:
    """State these facts, in this order, as part of the transaction under way.

    Raises:
        TransactionManagementError: no transaction is under way; a fact must commit together with what made it true.
        EventTooLarge: one of them has more bytes than a topic takes.
    """
    transactions.require("outbox.publish")
    collected = _collected.get()
    if collected is None:
        _insert(events)
    else:
        collected.extend(events)


@contextmanager
def collect(causes: Mapping[str, Received] | None = None) -> Iterator[None]:
    """Hold back what is published inside and insert it at once on leaving.

    `causes` maps an event's key to the message that is being handled, for correlation and causation.
    """
    events: list[Statement] = []
    collected, caused = _collected.set(events), _causes.set(causes or _NO_CAUSES)
    try:
        yield
        if events:
            _insert(events)
    finally:
        _collected.reset(collected)
        _causes.reset(caused)


def cause_of(key: str) -> UUID | None:
    """The id of the message of this key that is being handled, to be kept for what follows later; None outside."""
    cause = _causes.get().get(key)
    return cause.id if cause else None


def _insert(statements: Sequence[Statement]) -> None:
    causes, stated = _causes.get(), []
    for statement in statements:
        event, by = statement if isinstance(statement, Caused) else (statement, None)
        stated.append(row_of(event, causes.get(event.key), by))
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [bulk_rows.as_json(stated)])


class PendingRow(msgspec.Struct):
    """An event as `INSERT` takes it."""

    event_id: UUID
    topic: str
    key: str
    type: str
    version: int
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str
    body: msgspec.Raw
    """JSON inside of JSON: PostgreSQL keeps its text as it is."""


def row_of(
    event: Event, cause: Received | None = None, caused_by: UUID | None = None, *, is_first: bool = False
) -> PendingRow:
    """The row that states this event: in answer to the message that is being handled or to another one, or as the first
    of its story.
    """
    if event.TOPIC.written_by:
        raise TypeError(f"{event.TYPE} goes to Kafka without the outbox: give it to a LossyPublisher")
    event_id = uuid7()
    correlation_id = cause.correlation_id if cause else event.correlation_id
    body = envelope.encode_body(event)
    if len(body) > (most := conf.current().max_message_bytes - _HEADERS_BYTES):
        raise EventTooLarge(f"{event.TYPE} of {event.key} has {len(body):,} bytes; {most:,} at most can be sent")
    causation_id = caused_by or (cause.id if cause else None)
    return PendingRow(
        event_id,
        event.TOPIC.name,
        event.key,
        event.TYPE,
        event.VERSION,
        correlation_id,
        causation_id,
        _context(correlation_id, event_id, causation_id, is_first=is_first),
        msgspec.Raw(body),
    )


def _context(correlation_id: UUID, event_id: UUID, causation_id: UUID | None, *, is_first: bool) -> str:
    """The `traceparent` of a row: of what its event follows from, where traces are on; else the event's own."""
    if not tracing.is_on():
        return traceparent(correlation_id, event_id)
    parent = tracing.of_beginning(correlation_id) if is_first else tracing.parent_of(correlation_id, causation_id)
    flags = tracing.SAMPLED if tracing.is_recorded(correlation_id) else tracing.NOT_SAMPLED
    return f"00-{correlation_id.hex}-{parent or tracing.of_event(event_id):016x}-{flags}"


def traceparent(correlation_id: UUID, event_id: UUID, flags: str = tracing.SAMPLED) -> str:
    """W3C Trace Context of an event: the story is the trace, the event's way to Kafka a span in it."""
    return f"00-{correlation_id.hex}-{event_id.hex[16:]}-{flags}"


def backlog() -> int:
    """Rows that wait for the relay."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kafka_bridge_outboxrow WHERE published_at IS NULL")
        return int(cursor.fetchone()[0])


def oldest_seconds() -> float:
    """How long the event that has waited longest for the relay has waited; 0 if none does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM kafka_bridge_outboxrow "
            "WHERE published_at IS NULL"
        )
        return float(cursor.fetchone()[0])


def republish_unheard(heard: Collection[tuple[str, str]]) -> int:
    """Send again what some group has not handled; for a broker that came back without its data.

    `heard` is which event types which groups hear, as `registry.heard()` has it. The inbox makes a second delivery
    harmless, so this may be called at any start. Returns the number of rows.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE kafka_bridge_outboxrow SET published_at = NULL
            WHERE id IN (
                SELECT o.id FROM kafka_bridge_outboxrow o
                JOIN unnest(%s::text[], %s::text[]) AS heard(type, grp) ON heard.type = o.type
                LEFT JOIN kafka_bridge_inboxrow i ON i."group" = heard.grp AND i.event_id = o.event_id
                WHERE o.published_at IS NOT NULL AND i.event_id IS NULL
            )
            """,
            [list(column) for column in zip(*sorted(heard), strict=True)],
        )
        return int(cursor.rowcount)
