"""Whether a message was stated: a topic is no proof that it was, the outbox of who stated it is.

# Note [What bears a message out]
Whoever may write to a topic can write any event there. The outbox they cannot write to: a fact gets its row in the
transaction that makes it true, and is in Kafka only after that has committed. So a message was stated if the outbox
has its id, with the same key, type and bytes. That does not ask how things stand *now*, and so an honest message is
borne out however late it comes, whatever has happened since. The outbox keeps its rows for as long as a message can
come; see Note [How long the outbox remembers] in `housekeeping.py`.

What a person has edited before it was sent again was never stated like that; there the dead letter bears it out.
"""

import hashlib
from collections.abc import Sequence
from uuid import UUID

import msgspec
from django.db import connection

from kafka_bridge.models import DeadLetter
from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received

NEVER_STATED = "nobody stated it: no event of this id is in the outbox"
STATED_OTHERWISE = "it was stated otherwise: the event of this id in the outbox has another type, key or body"
# Looked up one by one, which OFFSET 0 sees to: a join would be planned for a hundred messages, however few there are,
# and in a young shop it read the whole outbox. The last condition is asked of a row that the index has found.
_BORNE_OUT = """
SELECT m.number FROM json_to_recordset(%s)
    AS m(number int, event_id uuid, topic text, key text, type text, version int, digest text)
CROSS JOIN LATERAL (
    SELECT topic, type, version, body FROM kafka_bridge_outboxrow WHERE key = m.key AND event_id = m.event_id OFFSET 0
) o
WHERE o.topic = m.topic AND o.type = m.type AND o.version = m.version AND sha256(o.body) = decode(m.digest, 'hex')
"""
_KNOWN = """
SELECT m.number FROM json_to_recordset(%s) AS m(number int, event_id uuid, key text)
JOIN kafka_bridge_outboxrow o ON o.key = m.key AND o.event_id = m.event_id
"""


class _Asked(msgspec.Struct):
    number: int
    event_id: UUID
    topic: str
    key: str
    type: str
    version: int
    digest: str


def stated(messages: Sequence[Received]) -> list[str]:
    """For each of these why it is not believed, or "" where it was stated so; one round trip if all were.

    See Note [What bears a message out].
    """
    asked = [_asked(number, message) for number, message in enumerate(messages)]
    borne_out = _numbers(_BORNE_OUT, asked)
    if len(borne_out) == len(messages):
        return [""] * len(messages)
    doubtful = [each for each in asked if each.number not in borne_out]
    known, edited = _numbers(_KNOWN, doubtful), _edited([messages[each.number] for each in doubtful])
    return [
        "" if number in borne_out or (message.id, body_of(message)) in edited else _why(number in known)
        for number, message in enumerate(messages)
    ]


def body_of(message: Received) -> bytes:
    """The body as it came; encoded anew for one that was never in Kafka."""
    if message.raw is None:
        return envelope.encode_body(message.event)
    return bytes(message.raw.value() or b"")


def _asked(number: int, message: Received) -> _Asked:
    event = message.event
    digest = hashlib.sha256(body_of(message)).hexdigest()
    return _Asked(
        number, message.id, event.TOPIC.name, bulk_rows.storable(event.key), event.TYPE, event.VERSION, digest
    )


def _numbers(statement: str, asked: Sequence[_Asked]) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [bulk_rows.as_json(asked)])
        return {number for (number,) in cursor.fetchall()}


def _edited(messages: Sequence[Received]) -> set[tuple[UUID | None, bytes]]:
    """What people have made of these messages before they sent them again."""
    letters = DeadLetter.objects.filter(
        key__in={message.event.key for message in messages},
        event_id__in=[message.id for message in messages],
        edited_value__isnull=False,
    )
    return {(event_id, bytes(value)) for event_id, value in letters.values_list("event_id", "edited_value") if value}


def _why(is_known: bool) -> str:
    return STATED_OTHERWISE if is_known else NEVER_STATED
