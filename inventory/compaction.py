"""Compacts old movements: one line, carried forward, replaces all old movements of a pool and a kind.

# Note [What is carried forward]
The movements of a pool add up to its stock row, and must still do so when the old ones are gone. So one transaction
replaces them by a line with their sums. The line has their pool and kind, by which everything is summed, and the id and
time of the newest of them, so it sorts where they were. The next compaction takes it in again: there is never more than
one for a pool and a kind. The movements of an order stay until nothing has happened to its reservation for that long.

Nothing waits for a compaction. It touches no stock row and no reservation, only movements, which nobody changes; its
lock keeps out other compactions only.
"""

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from kafka_bridge.runtime import housekeeping
from kafka_bridge.runtime.postgresql import bulk_rows

LEAST_DAYS = 90
"""The database itself refuses to delete younger movements."""
BY = "housekeeping"
_LOCK = 0x666F6C64
_OLD = """
SELECT m.ctid FROM inventory_movement m
WHERE m.carried = 0 AND m.at < %(before)s AND NOT EXISTS (
    SELECT FROM inventory_reservation r
    WHERE r.order_id = m.order_id AND (r.state = 'held' OR r.updated_at >= %(before)s)
)
ORDER BY m.at LIMIT %(limit)s
"""
_TAKE_OUT = f"""
WITH single AS (
    DELETE FROM inventory_movement WHERE ctid = ANY(ARRAY({_OLD})) RETURNING *
), pool AS (
    SELECT DISTINCT bin, kind FROM single
), carried AS (
    DELETE FROM inventory_movement m USING pool p
    WHERE m.bin = p.bin AND m.kind = p.kind AND m.carried > 0 RETURNING m.*
)
SELECT bin, kind, max(id), max(at), min(sku), sum(received)::int, sum(held)::int, sum(sold)::int,
    sum(greatest(carried, 1))::int, count(*) FILTER (WHERE carried = 0)
FROM (SELECT * FROM single UNION ALL SELECT * FROM carried) AS gone GROUP BY bin, kind ORDER BY bin, kind
"""  # noqa: S608 - nothing of it comes from outside
_PUT_BACK = """
INSERT INTO inventory_movement (id, at, bin, sku, kind, received, held, sold, carried, by, reason)
SELECT id, at, bin, sku, kind, received, held, sold, carried, %s, 'carried forward'
FROM json_to_recordset(%s) AS m(id bigint, at timestamptz, bin text, sku text, kind text, received int, held int,
    sold int, carried int)
"""
_COLUMNS = ("bin", "kind", "id", "at", "sku", "received", "held", "sold", "carried")


def compact(cursor: CursorWrapper, policy: housekeeping.RetentionPolicy, names: housekeeping.Names) -> int:
    """Compact a batch of old movements, in the caller's transaction; how many. See Note [What is carried forward]."""
    # Two at a time would each write a line for the same pool and kind.
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    cursor.execute(_TAKE_OUT, names)
    gone = cursor.fetchall()
    lines = [dict(zip(_COLUMNS, row, strict=False)) for row in gone]
    cursor.execute(_PUT_BACK, [BY, bulk_rows.as_json(lines)])
    return sum(row[-1] for row in gone)


MOVEMENTS = housekeeping.RetentionPolicy(
    table="inventory_movement",
    setting="KEEP_MOVEMENTS_DAYS",
    days=lambda: settings.KEEP_MOVEMENTS_DAYS,
    old=_OLD,
    forget=compact,
    least_days=lambda: LEAST_DAYS,
    because="the database refuses to delete younger movements",
)
