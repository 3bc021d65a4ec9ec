"""Which events a group has had: the reason why a second delivery changes nothing."""

from collections.abc import Sequence

from django.db import connection

from kafka_bridge import rows
from kafka_bridge.envelope import Received

_INSERT = """
INSERT INTO kafka_bridge_inboxrow ("group", event_id, topic, partition, "offset")
SELECT %s, * FROM json_to_recordset(%s) AS m(event_id uuid, topic text, partition int, "offset" bigint)
ON CONFLICT DO NOTHING
RETURNING event_id
"""


def take(*, group: str, messages: Sequence[Received]) -> list[Received]:
    """Note these messages as had by the group, in the transaction of their effects; return those it had not had.

    Order is kept; of two copies in one batch the first is returned. The ids are inserted sorted, so that two consumers
    with the same messages (one of them a zombie) wait for each other instead of deadlocking.
    """
    ordered = sorted(messages, key=lambda message: message.id)
    places = [{"event_id": m.id, "topic": m.topic, "partition": m.partition, "offset": m.offset} for m in ordered]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [group, rows.as_json(places)])
        fresh = {row[0] for row in cursor.fetchall()}
    return [message for message in messages if _claim(fresh, message)]


def _claim(fresh: set[object], message: Received) -> bool:
    if message.id not in fresh:
        return False
    fresh.discard(message.id)
    return True
