"""Sets of orders: locked, and written in one statement."""

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.db import connection, models

from kafka_bridge.runtime.postgresql import bulk_rows

if TYPE_CHECKING:
    from orders.models import Order

_WRITTEN = {
    "status": "text",
    "total_minor": "bigint",
    "payment_reference": "text",
    "payment_wait": "text",
    "payment_url": "text",
    "payment_until": "timestamptz",
    "cancel_reason": "text",
    "held_at": "timestamptz",
    "paid_at": "timestamptz",
    "confirmed_at": "timestamptz",
    "shipped_at": "timestamptz",
    "delivered_at": "timestamptz",
    "cancelled_at": "timestamptz",
    "refunded_at": "timestamptz",
}
# What changes and what events tell; nobody's address is read for it.
_LOCK = f"""
SELECT id, reference, flow, version, currency, shipping_minor, coupon_code, {", ".join(_WRITTEN)}
FROM orders_order WHERE id = ANY(%s::uuid[]) ORDER BY id FOR UPDATE
"""  # noqa: S608 - made of the column names above
# The orders as they are now, and the lines of their trails.
_WRITE = f"""
WITH noted AS (
    INSERT INTO orders_trailentry (order_id, version, what, answer, status, detail)
    SELECT * FROM json_to_recordset(%s)
        AS t(order_id uuid, version int, what text, answer text, status text, detail text)
)
UPDATE orders_order o SET version = n.version, {", ".join(f"{name} = n.{name}" for name in _WRITTEN)}
FROM json_to_recordset(%s)
    AS n(id uuid, version int, {", ".join(f"{name} {kind}" for name, kind in _WRITTEN.items())})
WHERE o.id = n.id AND o.version = n.version - 1 AND o.id = ANY(%s::uuid[])
"""  # noqa: S608 - made of the column names above


class OrderQuerySet(models.QuerySet["Order"]):
    """Sets of orders."""

    def locked(self, ids: Sequence[uuid.UUID]) -> "dict[uuid.UUID, Order]":
        """These orders, locked until the transaction ends; always in the same sequence, so that nobody deadlocks."""
        return {order.pk: order for order in self.raw(_LOCK, [bulk_rows.uuids(ids)])}

    def write(self, orders: "Sequence[Order]", trail: Sequence[Mapping[str, object]] = ()) -> None:
        """Write what `move_to` and `note` changed, all rows in one statement: the bulk twin of saving each.

        Whatever has a line on its trail is among the orders.

        Raises:
            RuntimeError: a row was changed behind our back; the lock of `locked` was not held.
        """
        if not orders:
            return
        changed = [{name: getattr(order, name) for name in ("id", "version", *_WRITTEN)} for order in orders]
        with connection.cursor() as cursor:
            rows = map(bulk_rows.as_json, (trail, changed))
            cursor.execute(_WRITE, [*rows, bulk_rows.uuids(order.pk for order in orders)])
            if cursor.rowcount != len(orders):
                raise RuntimeError(f"{len(orders) - cursor.rowcount} orders changed while they were being written")
        for order in orders:
            order.read_version = order.version
