"""Messages parked until they can be handled: what failed, and what came after it with the same key.

See Note [Sequence behind a failure] in `models.py`. Everything here runs inside the caller's transaction.

# Note [Asking for a key locks its head]
A transaction that wants to know whether a key is parked locks the key's head, the row with its lowest id. One that
handles a head locks it too, and deletes it together with its effects. So while a message is put behind a head, the head
cannot go, and while the last one is handled, no other transaction decides whether the key is free. A head that went
while we waited for its lock says nothing about who follows it: then the question is asked again.

Two messages of one key that come from two topics may fail at the same moment, each without seeing the other. Then both
rows are there to be retried; the one with the lower id is the head, and the other one waits.
"""

from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from kafka_bridge.dead_letters import letter_store
from kafka_bridge.models import ParkedMessage
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire import envelope, records
from kafka_bridge.wire.envelope import Headers, Received
from kafka_bridge.wire.records import Record

State = ParkedMessage.State

_HEADS = """
WITH first AS MATERIALIZED (
    SELECT min(id) AS id FROM kafka_bridge_parkedmessage
    WHERE "group" = %s AND key = ANY(ARRAY(SELECT json_array_elements_text(%s))) GROUP BY key
), locked AS MATERIALIZED (
    SELECT p.id, p.key, p.state, p.topic, p.partition, p."offset", p.event_id, p.type, p.attempts,
        extract(epoch FROM p.due_at)::float8 AS due, p.error
    FROM kafka_bridge_parkedmessage p JOIN first ON first.id = p.id
    ORDER BY p.id FOR UPDATE OF p
)
SELECT locked.* FROM first LEFT JOIN locked ON locked.id = first.id
"""
# An event that the group has had is not parked any more; neither is one that is parked already, wherever it lay then.
_PARK = """
INSERT INTO kafka_bridge_parkedmessage
    ("group", key, state, topic, partition, "offset", event_id, type, headers, value, attempts, due_at, error)
SELECT %s, key, %s, topic, partition, "offset", event_id, type, headers, decode(value, 'base64'), %s,
    now() + %s * interval '1 second', %s
FROM ROWS FROM (json_to_recordset(%s) AS (key text, topic text, partition int, "offset" bigint, event_id uuid,
    type text, headers jsonb, value text)) WITH ORDINALITY
    AS m(key, topic, partition, "offset", event_id, type, headers, value, number)
WHERE NOT EXISTS (SELECT FROM kafka_bridge_inboxrow i WHERE i."group" = %s AND i.event_id = m.event_id)
ORDER BY number
ON CONFLICT ("group", event_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The first parked message of a key, as it was when it was locked."""

    id: int
    key: str
    state: str
    topic: str
    partition: int
    offset: int
    event_id: UUID
    type: str
    attempts: int
    due: float | None
    """Seconds since the epoch."""
    error: str


# -- Asking --------------------------------------------------------------------------------------------
def lock_heads(*, group: str, keys: Collection[str]) -> dict[str, Head]:
    """Which of these keys are parked, by key; their heads are locked until the transaction ends.

    One statement, unless a head went while we waited for it. See Note [Asking for a key locks its head].
    """
    parameters = [group, bulk_rows.as_json(list(keys))]
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_HEADS, parameters)
            found = cursor.fetchall()
            # NULL: the row went while we waited for its lock, and this snapshot cannot see which one is the head now.
            if all(row[0] is not None for row in found):
                return {row[1]: Head(*row) for row in found}


def read_record(head: Head) -> Record:
    """The parked message itself."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT headers::text, value FROM kafka_bridge_parkedmessage WHERE id = %s", [head.id])
        headers, value = cursor.fetchone()
    return Record(
        topic_=head.topic,
        partition_=head.partition,
        offset_=head.offset,
        key_=head.key.encode(),
        value_=bytes(value),
        headers_=letter_store.unpack(msgspec.json.decode(headers)),
        message_id=head.event_id,
    )


def key_of(*, group: str, event_id: UUID) -> str | None:
    """The key of this message, if it is parked. Locks nothing, so it may be gone when you ask again."""
    with connection.cursor() as cursor:
        cursor.execute(
            'SELECT key FROM kafka_bridge_parkedmessage WHERE "group" = %s AND event_id = %s', [group, event_id]
        )
        row = cursor.fetchone()
    return row[0] if row else None


# -- Parking -------------------------------------------------------------------------------------------
def wait_behind(*, group: str, messages: Sequence[Received]) -> None:
    """Put messages of parked keys behind their heads, in this order. The caller has locked those heads."""
    _insert(group, State.WAITING, messages)


def park(
    *, group: str, message: Received, state: str, attempts: int, error: str, delay_seconds: float | None = None
) -> str | None:
    """Park a message that failed; returns its state, or None if there is nothing to park: the group has had this event,
    or it is parked already (its message lies in the topic twice).

    It is the head in this state, or waits if its key is parked already.
    """
    if lock_heads(group=group, keys=[message.event.key]):
        _insert(group, State.WAITING, [message])
        return State.WAITING
    inserted = _insert(group, state, [message], attempts=attempts, delay_seconds=delay_seconds, error=error)
    return state if inserted else None


class _Row(msgspec.Struct):
    key: str
    topic: str
    partition: int
    offset: int
    event_id: UUID
    type: str
    headers: list[Any]
    value: str


def _insert(
    group: str,
    state: str,
    messages: Sequence[Received],
    *,
    attempts: int = 0,
    delay_seconds: float | None = None,
    error: str = "",
) -> int:
    parked = bulk_rows.as_json([_row(message) for message in messages])
    with connection.cursor() as cursor:
        cursor.execute(_PARK, [group, state, attempts, delay_seconds, bulk_rows.storable(error)[:500], parked, group])
        return int(cursor.rowcount)


def _row(message: Received) -> _Row:
    record = original(message)
    return _Row(
        message.event.key,
        *record.coordinates,
        message.id,
        message.event.TYPE,
        letter_store.pack(record.headers_),
        b64encode(record.value_).decode(),
    )


def original(message: Received) -> Record:
    """The message behind an event; made up for one that was never in Kafka."""
    if message.raw is not None:
        is_record = isinstance(message.raw, Record)
        return message.raw if is_record else records.from_message(message.raw, event_id=message.id)
    event = message.event
    return Record(
        topic_=message.topic,
        partition_=message.partition,
        offset_=message.offset,
        key_=event.key.encode(),
        value_=envelope.encode_body(event),
        headers_=envelope.headers(
            event_id=message.id,
            event_type=event.TYPE,
            version=event.VERSION,
            source=event.TOPIC.owner,
            subject=event.key,
            time=message.time,
            correlation_id=message.correlation_id,
            causation_id=None,
            traceparent=outbox.traceparent(message.correlation_id, message.id),
        ),
        message_id=message.id,
    )


def readable(record: Record) -> Received:
    """A record as the event that it is. One that could not be read before (it was edited, or this code is newer) goes
    by its event's id from now on; see Note [What names a message] in `records.py`.

    Raises:
        Malformed: it still cannot be read.
    """
    received = envelope.decode(record)
    return replace(received, raw=replace(record, message_id=received.id))


# -- What becomes of a head, which the caller has locked --------------------------------------------------
def remove(head: Head) -> None:
    """It was handled or given up: the next of its key is the head now, or the key is free."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM kafka_bridge_parkedmessage WHERE id = %s", [head.id])


def mark_as_waiting(*, group: str, event_id: UUID) -> None:
    """This one is no head after all: it is handled when those before it are done."""
    ParkedMessage.objects.filter(group=group, event_id=event_id, state=State.RETRYING).update(state=State.WAITING)


def record_failure(head: Head, *, attempts: int, delay_seconds: float | None, error: str) -> None:
    """It failed in another round: it is tried again after the delay, or is dead if there is none."""
    state = State.DEAD if delay_seconds is None else State.RETRYING
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE kafka_bridge_parkedmessage SET state = %s, attempts = %s, error = %s, "
            "due_at = now() + %s * interval '1 second' WHERE id = %s AND attempts = %s",
            [state, attempts, bulk_rows.storable(error)[:500], delay_seconds, head.id, head.attempts],
        )


# -- What people do ------------------------------------------------------------------------------------
def send_again(*, group: str, event_id: UUID | None, headers: Headers, value: bytes) -> None:
    """A dead letter is sent again: if it is a dead head, it is to be retried from the start, with these contents.
    So is one that was sent again already and has not come yet.

    Call `retry_topic.forward` for it once the transaction has committed: the copy makes it happen. One that is no head
    is handled on its own when its copy comes.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE kafka_bridge_parkedmessage SET state = 'retrying', attempts = 0, due_at = now(), headers = %s, "
            'value = %s WHERE "group" = %s AND event_id = %s '
            "AND (state = 'dead' OR state = 'retrying' AND attempts = 0)",
            [bulk_rows.as_json(letter_store.pack(headers)), value, group, event_id],
        )


def release(*, group: str, event_id: UUID | None) -> None:
    """A dead letter is discarded: if it is a dead head, what waits behind it goes on within a second or so."""
    if event_id is not None:
        found = ParkedMessage.objects.filter(group=group, event_id=event_id, state=State.DEAD)
        found.update(state=State.RELEASED)
