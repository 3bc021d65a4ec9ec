"""Events that a group passed over and that this code does not know: none of its business, but somebody's.

Perhaps a producer is newer than this code, perhaps a stranger writes to a topic. Either way people should be able to
see it, so they are counted in a table, and the log says so once.
"""

import logging
import time
from collections import Counter

from django.db import connection

from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire import event_types
from kafka_bridge.wire.envelope import NotHeard

log = logging.getLogger(__name__)
STORE_EVERY_SECONDS = 5.0
# A stranger may make up a type for each message; what is beyond this number is counted together.
MOST_KINDS = 50
OTHERS = "(others)", ""

_STORE = """
INSERT INTO kafka_bridge_unknownevent ("group", type, version, count)
SELECT %s, * FROM json_to_recordset(%s) AS seen(type text, version text, count bigint) ORDER BY 2, 3
ON CONFLICT ("group", type, version)
    DO UPDATE SET count = kafka_bridge_unknownevent.count + excluded.count, last_at = now()
"""


class UnknownEvents:
    """What one member of a group has passed over."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.seen: Counter[tuple[str, str]] = Counter()
        """By type and version, all since the member began."""
        self._unstored: Counter[tuple[str, str]] = Counter()
        self._store_at = 0.0

    def count(self, message: NotHeard) -> None:
        """Another one was passed over; it counts if this code knows no such event."""
        if _is_known(message):
            return
        kind = bulk_rows.storable(message.event_type)[:80], bulk_rows.storable(message.version)[:20]
        if kind not in self.seen and len(self.seen) >= MOST_KINDS:
            kind = OTHERS
        if kind not in self.seen:
            log.warning(
                "%s: events %r of version %r are passed over: the group does not hear the type, and this code does not "
                "know the event",
                self.group, *kind,
            )  # fmt: skip
        self.seen[kind] += 1
        self._unstored[kind] += 1

    def store_due(self) -> None:
        """Add what was counted to the table, every few seconds at the most."""
        if not self._unstored or time.monotonic() < self._store_at:
            return
        rows = [
            {"type": event_type, "version": version, "count": count}
            for (event_type, version), count in self._unstored.items()
        ]
        with connection.cursor() as cursor:
            cursor.execute(_STORE, [self.group, bulk_rows.as_json(rows)])
        self._unstored.clear()
        self._store_at = time.monotonic() + STORE_EVERY_SECONDS


def _is_known(message: NotHeard) -> bool:
    version = message.version
    is_number = version.isascii() and version.isdigit() and len(version) < 10
    return is_number and event_types.find(message.event_type, int(version)) is not None
