"""Old movements are folded: one line that is carried forward stands for all old ones of a bin and a kind.

# Note [What is carried forward]
The movements of a bin add up to its stock row, and must still do so when the old ones are gone. So they are replaced,
in one transaction, by a line with their sums. It keeps their bin and kind, by which everything is summed, and takes the
number and the time of the youngest of them, so it lies where they lay. The next fold takes it up again: there is never
more than one for a bin and a kind. An order's movements are left alone until nothing has happened to its reservation
for that long.

Nobody waits for a fold. It touches no stock row and no reservation, only movements that nobody changes, and its lock
keeps other folds away, nothing else.
"""

from django.conf import settings
from django.db.backends.utils import CursorWrapper

from kafka_bridge.runtime import bulk_rows, housekeeping

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
), place AS (
    SELECT DISTINCT bin, kind FROM single
), carried AS (
    DELETE FROM inventory_movement m USING place p
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


def fold(cursor: CursorWrapper, kept: housekeeping.RetentionPolicy, names: housekeeping.Names) -> int:
    """Fold a batch of old movements, in the caller's transaction; how many. See Note [What is carried forward]."""
    # Two at a time would each make a line of their own for the same bin and kind.
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
    forget=fold,
    least_days=lambda: LEAST_DAYS,
    because="the database refuses to fold younger movements",
)
