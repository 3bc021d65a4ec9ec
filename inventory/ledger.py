"""The only way to change stock: lock the pools, change them in one statement, write a movement for each change.

Everything here needs a transaction. Locks are taken in the same sequence everywhere (reservations by order id, then
pools by name), so two batches with the same books wait for each other and never deadlock. A batch locks a pool once,
however many of its orders need it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
from django.db import connection, transaction

from inventory.models import Movement
from inventory.redis_counters import admission
from kafka_bridge.runtime.postgresql import bulk_rows

Kind = Movement.Kind


class MovementEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger: by how much a pool changes, by whom and why."""

    pool: str
    kind: Kind
    received: int = 0
    held: int = 0
    sold: int = 0
    order_id: UUID | None = None
    by: str = "inventory"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedPool:
    """A stock pool as it was when it was locked; until the transaction ends only this transaction can change it."""

    pool: str
    free: int
    unsold: int
    """Free and held units."""
    customer_limit: int | None
    hold_seconds: int | None
    closes_at: datetime | None
    at: datetime
    """When it was locked, by the database's clock, since the clocks of our processes may differ."""


_LOCK = """
SELECT bin, received - held - sold, received - sold, customer_limit, hold_seconds, closes_at, clock_timestamp()
FROM inventory_stock WHERE bin = ANY(%s) ORDER BY bin FOR UPDATE
"""
_CHANGE_STOCK = """
WITH written AS (
    INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, order_id, by, reason)
    SELECT pool, split_part(pool, '@', 1), kind, received, held, sold, order_id, by, reason
    FROM json_to_recordset(%s)
        AS e(pool text, kind text, received int, held int, sold int, order_id uuid, by text, reason text)
)
UPDATE inventory_stock s SET received = s.received + d.received, held = s.held + d.held, sold = s.sold + d.sold,
    version = s.version + 1, updated_at = now()
FROM json_to_recordset(%s) AS d(pool text, received int, held int, sold int) WHERE s.bin = d.pool
RETURNING s.bin, s.received - s.held - s.sold, s.version
"""


def lock(pools: Iterable[str]) -> dict[str, LockedPool]:
    """Lock these pools until the transaction ends; a pool that never had a unit is missing from the result."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted(set(pools))])
        return {
            name: LockedPool(
                pool=name,
                free=free,
                unsold=unsold,
                customer_limit=limit,
                hold_seconds=seconds,
                closes_at=closes_at,
                at=at,
            )
            for name, free, unsold, limit, seconds, closes_at, at in cursor.fetchall()
        }


def write(entries: Sequence[MovementEntry], *, settled: Iterable[UUID] = ()) -> None:
    """Make these changes, write their movements, and update the Redis counters after the commit.

    The pools must be locked. `settled` are orders that the counters may have admitted and that are decided now.

    Raises:
        django.db.IntegrityError: a pool would hold and sell more than it received; nothing is changed.
    """
    settled = list(settled)
    counts: list[admission.Count] = []
    if entries:
        with connection.cursor() as cursor:
            cursor.execute(_CHANGE_STOCK, [bulk_rows.as_json(entries), bulk_rows.as_json(_sums(entries))])
            counts = cursor.fetchall()
    if counts or settled:
        # Robust: the transaction is committed, so a failure here must not make the batch run again.
        transaction.on_commit(partial(admission.settle, orders=settled, counts=counts), robust=True)


def _sums(entries: Sequence[MovementEntry]) -> list[dict[str, object]]:
    received: Counter[str] = Counter()
    held: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    for entry in entries:
        received[entry.pool] += entry.received
        held[entry.pool] += entry.held
        sold[entry.pool] += entry.sold
    return [
        {"pool": name, "received": received[name], "held": held[name], "sold": sold[name]} for name in sorted(received)
    ]
