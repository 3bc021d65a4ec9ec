"""The one way in which stock changes: bins are locked in sequence, changed in one statement, each change is noted.

Everything here needs a transaction under way. Locks are taken in one sequence everywhere (reservations by order id,
then bins by name), so two batches with the same books wait for each other and never deadlock. A batch takes the lock of
a hot bin once, whatever number of orders it has for it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
from django.db import connection, transaction

from inventory import admission
from inventory.models import Movement
from kafka_bridge.runtime import bulk_rows

Kind = Movement.Kind


class MovementEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger: by how much a bin changes, who says so and why."""

    bin: str
    kind: Kind
    received: int = 0
    held: int = 0
    sold: int = 0
    order_id: UUID | None = None
    by: str = "inventory"
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """A bin that stays as it is until the transaction ends, unless we change it."""

    bin: str
    free: int
    customer_limit: int | None
    hold_seconds: int | None
    closes_at: datetime | None
    at: datetime
    """When that was, by the database's clock: those of our processes may differ."""


_LOCK = """
SELECT bin, received - held - sold, customer_limit, hold_seconds, closes_at, clock_timestamp()
FROM inventory_stock WHERE bin = ANY(%s) ORDER BY bin FOR UPDATE
"""
_NOTE = """
INSERT INTO inventory_movement (bin, sku, kind, received, held, sold, order_id, by, reason)
SELECT bin, split_part(bin, '@', 1), kind, received, held, sold, order_id, by, reason
FROM json_to_recordset(%s)
    AS e(bin text, kind text, received int, held int, sold int, order_id uuid, by text, reason text)
"""
_CHANGE = """
UPDATE inventory_stock s SET received = s.received + d.received, held = s.held + d.held, sold = s.sold + d.sold,
    version = s.version + 1, updated_at = now()
FROM json_to_recordset(%s) AS d(bin text, received int, held int, sold int) WHERE s.bin = d.bin
RETURNING s.bin, s.received - s.held - s.sold, s.version
"""


def lock(bins: Iterable[str]) -> dict[str, Locked]:
    """These bins, locked until the transaction ends; one that never had a unit is absent."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted(set(bins))])
        return {
            name: Locked(bin=name, free=free, customer_limit=limit, hold_seconds=seconds, closes_at=closes_at, at=at)
            for name, free, limit, seconds, closes_at, at in cursor.fetchall()
        }


def write(entries: Sequence[MovementEntry], *, settled: Iterable[UUID] = ()) -> None:
    """Make these changes, note them, and tell the gate once they are committed.

    The bins must have been locked. `settled` are orders that the gate may have admitted and that are decided now.

    Raises:
        django.db.IntegrityError: a bin would hold and sell more than it received; nothing is changed.
    """
    settled = list(settled)
    counts: list[admission.Count] = []
    if entries:
        with connection.cursor() as cursor:
            cursor.execute(_CHANGE, [bulk_rows.as_json(_sums(entries))])
            counts = cursor.fetchall()
            cursor.execute(_NOTE, [bulk_rows.as_json(entries)])
    if counts or settled:
        transaction.on_commit(partial(admission.settle, orders=settled, counts=counts), robust=True)


def _sums(entries: Sequence[MovementEntry]) -> list[dict[str, object]]:
    received: Counter[str] = Counter()
    held: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    for entry in entries:
        received[entry.bin] += entry.received
        held[entry.bin] += entry.held
        sold[entry.bin] += entry.sold
    return [
        {"bin": name, "received": received[name], "held": held[name], "sold": sold[name]} for name in sorted(received)
    ]
