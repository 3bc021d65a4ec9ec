"""Which events a group has had: the reason why a second delivery changes nothing."""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from kafka_bridge.models import InboxRow
from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire.envelope import Received

_INSERT = """
INSERT INTO kafka_bridge_inboxrow ("group", event_id, topic, partition, "offset")
SELECT %s, * FROM json_to_recordset(%s) AS m(event_id uuid, topic text, partition int, "offset" bigint)
{where}
ON CONFLICT DO NOTHING
RETURNING event_id
"""
_INSERT_ALL = _INSERT.format(where="")
_INSERT_UNLESS_PARKED = _INSERT.format(
    where="""WHERE NOT EXISTS (
    SELECT FROM kafka_bridge_parkedmessage p
    WHERE p."group" = %s AND p.key = ANY(ARRAY(SELECT json_array_elements_text(%s)))
)"""
)


def take(*, group: str, messages: Sequence[Received]) -> list[Received]:
    """Note these messages as had by the group, in the transaction of their effects; return those it had not had.

    Order is kept; of two copies in one batch the first is returned. The ids are inserted sorted, so that two consumers
    with the same messages (one of them a zombie) wait for each other instead of deadlocking.
    """
    return _take(messages, _INSERT_ALL, [group, _places(messages)])


def take_unless_parked(*, group: str, messages: Sequence[Received]) -> list[Received]:
    """The same, if nothing is parked of any of their keys; else nothing is noted, and none is returned.

    No lock is taken on what is parked. Where none is returned, ask `parking.lock_heads`, which takes them: either a key
    is parked, or the group has had all these messages.
    """
    keys = bulk_rows.as_json([message.event.key for message in messages])
    return _take(messages, _INSERT_UNLESS_PARKED, [group, _places(messages), group, keys])


def note(*, group: str, event_id: UUID, topic: str, partition: int, offset: int) -> None:
    """Note this event as had though no handler was called: a person decided that it never will be."""
    row = InboxRow(group=group, event_id=event_id, topic=topic, partition=partition, offset=offset)
    InboxRow.objects.bulk_create([row], ignore_conflicts=True)


def _places(messages: Sequence[Received]) -> str:
    ordered = sorted(messages, key=lambda message: message.id)
    return bulk_rows.as_json(
        [{"event_id": m.id, "topic": m.topic, "partition": m.partition, "offset": m.offset} for m in ordered]
    )


def _take(messages: Sequence[Received], statement: str, parameters: list[str]) -> list[Received]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        fresh = {row[0] for row in cursor.fetchall()}
    return [message for message in messages if _claim(fresh, message)]


def _claim(fresh: set[object], message: Received) -> bool:
    # The second copy in one batch finds that the first has taken the id.
    if message.id not in fresh:
        return False
    fresh.discard(message.id)
    return True
