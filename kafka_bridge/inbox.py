"""Which events a group has had: the reason why a second delivery changes nothing."""

from collections.abc import Sequence

from django.db import connection

from kafka_bridge import rows
from kafka_bridge.envelope import Received

# Of all these messages or, where one of their keys is parked, of none; then the only row says so, and is NULL.
_INSERT_UNLESS_PARKED = """
WITH m AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS m(event_id uuid, topic text, partition int, "offset" bigint, key text)
), parked AS MATERIALIZED (
    SELECT EXISTS (
        SELECT FROM kafka_bridge_parkedmessage WHERE "group" = %s AND key = ANY(ARRAY(SELECT key FROM m))
    ) AS found
), taken AS (
    INSERT INTO kafka_bridge_inboxrow ("group", event_id, topic, partition, "offset")
    SELECT %s, event_id, topic, partition, "offset" FROM m WHERE NOT (SELECT found FROM parked)
    ON CONFLICT DO NOTHING
    RETURNING event_id
)
SELECT event_id FROM taken UNION ALL SELECT NULL FROM parked WHERE found
"""
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
    return _new(messages, _execute(_INSERT, [group, _places(messages)]))


def take_unless_parked(*, group: str, messages: Sequence[Received]) -> list[Received] | None:
    """The same, if nothing is parked of any of their keys; else None, and nothing is noted.

    No lock is taken on what is parked: after None, ask `parking.heads`, which takes them.
    """
    found = _execute(_INSERT_UNLESS_PARKED, [_places(messages), group, group])
    return None if None in found else _new(messages, found)


def _places(messages: Sequence[Received]) -> str:
    """What the statements take of the messages; sorted, see `take`."""
    return rows.as_json(
        [
            {"event_id": m.id, "topic": m.topic, "partition": m.partition, "offset": m.offset, "key": m.event.key}
            for m in sorted(messages, key=lambda message: message.id)
        ]
    )


def _execute(statement: str, parameters: list[str]) -> set[object]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {row[0] for row in cursor.fetchall()}


def _new(messages: Sequence[Received], fresh: set[object]) -> list[Received]:
    return [message for message in messages if _claim(fresh, message)]


def _claim(fresh: set[object], message: Received) -> bool:
    if message.id not in fresh:
        return False
    fresh.discard(message.id)
    return True
