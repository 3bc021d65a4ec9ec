"""The rows behind reservations and their holds, written in bulk: one statement for a batch of orders.

Rows are always locked by order id, in ascending order, so two batches with the same orders never deadlock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import connection

from inventory.ledger import LockedPool
from inventory.models import Reservation, sku_of_pool
from inventory.reservations.reservation_requests import ReservationRequest
from kafka_bridge.runtime.postgresql import bulk_rows

State = Reservation.State


class NewReservation(msgspec.Struct, frozen=True):
    """An order that inventory may not have heard of."""

    order_id: UUID
    flow: str = ""
    visitor: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class OrderUnits:
    """Units that one order has of one pool."""

    order_id: UUID
    pool: str
    units: int


@dataclass(frozen=True, slots=True)
class WaitingUnits:
    """Units that one order, which waits for its buyer or is about to, has of one pool."""

    order_id: UUID
    pool: str
    units: int
    visitor: str
    network: str
    is_noted: bool
    """Whether it waits already."""


@dataclass(frozen=True, slots=True)
class ExpiredHold:
    """A hold that has run out."""

    flow: str
    too_many_unpaid: bool
    """Whether it was given up for that, before its time."""


def create_missing(orders: Sequence[NewReservation]) -> set[UUID]:
    """Insert a row, as refused until something is held, for each order that has none; returns those."""
    if not orders:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_reservation (order_id, flow, state, visitor, network)
            SELECT order_id, flow, 'refused', visitor, network
            FROM json_to_recordset(%s) AS t(order_id uuid, flow text, visitor text, network text)
            ON CONFLICT DO NOTHING RETURNING order_id
            """,
            [bulk_rows.as_json(sorted(orders, key=lambda order: order.order_id))],
        )
        return {row[0] for row in cursor.fetchall()}


def lock(order_ids: Iterable[UUID], state: State) -> list[UUID]:
    """Lock the reservations of these orders that are in this state; returns their order ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT order_id FROM inventory_reservation WHERE order_id = ANY(%s::uuid[]) AND state = %s
            ORDER BY order_id FOR UPDATE
            """,
            [bulk_rows.uuids(order_ids), state.value],
        )
        return [row[0] for row in cursor.fetchall()]


def lock_expired(limit: int) -> dict[UUID, ExpiredHold]:
    """Lock reservations that have run out, by order id. Rows locked by others are skipped."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT order_id, flow, too_many_unpaid FROM inventory_reservation
            WHERE state = 'held' AND expires_at < now()
            ORDER BY order_id LIMIT %s FOR UPDATE SKIP LOCKED
            """,
            [limit],
        )
        return {order_id: ExpiredHold(flow, too_many) for order_id, flow, too_many in cursor.fetchall()}


def waiting_units(pools: Iterable[str], *, with_orders: Iterable[UUID]) -> list[WaitingUnits]:
    """What orders that wait for their buyers, and these orders, have of these pools; those given up are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT r.order_id, h.bin, h.quantity - h.given_back, r.visitor, r.network, r.waiting_since IS NOT NULL
            FROM inventory_reservation r JOIN inventory_hold h ON h.reservation_id = r.order_id
            WHERE h.bin = ANY(%s) AND r.state = 'held' AND NOT r.too_many_unpaid
                AND (r.waiting_since IS NOT NULL OR r.order_id = ANY(%s::uuid[]))
            ORDER BY h.id
            """,
            [sorted(pools), bulk_rows.uuids(with_orders)],
        )
        return [WaitingUnits(*row) for row in cursor.fetchall()]


def set_waiting(order_ids: Iterable[UUID], too_many: Iterable[UUID]) -> None:
    """Note that these orders wait for their buyers; those that are too many run out now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inventory_reservation SET waiting_since = coalesce(waiting_since, now()),
                too_many_unpaid = too_many_unpaid OR order_id = ANY(%(too_many)s::uuid[]),
                expires_at = CASE WHEN order_id = ANY(%(too_many)s::uuid[]) THEN now() ELSE expires_at END
            WHERE order_id = ANY(%(order_ids)s::uuid[])
            """,
            {"order_ids": bulk_rows.uuids(order_ids), "too_many": bulk_rows.uuids(too_many)},
        )


def postpone_expiry(order_ids: Iterable[UUID], *, seconds: int) -> None:
    """Let these reservations run out so many seconds from now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE inventory_reservation SET expires_at = clock_timestamp() + %s * interval '1 second' "
            "WHERE order_id = ANY(%s::uuid[])",
            [seconds, bulk_rows.uuids(order_ids)],
        )


def set_state(expiries: Mapping[UUID, datetime | None], state: State) -> None:
    """Set the state of these orders' reservations, each with the time at which it runs out, if it does."""
    if not expiries:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inventory_reservation r SET state = %s, expires_at = s.expires_at, updated_at = now()
            FROM json_to_recordset(%s) AS s(order_id uuid, expires_at timestamptz)
            WHERE r.order_id = s.order_id AND r.order_id = ANY(%s::uuid[])
            """,
            [
                state.value,
                bulk_rows.as_json([{"order_id": i, "expires_at": at} for i, at in expiries.items()]),
                bulk_rows.uuids(expiries),
            ],
        )


def insert_holds(requests: Sequence[ReservationRequest], pools: Mapping[str, LockedPool]) -> None:
    """Insert a hold for each line; the customer is stored only for pools with a limit per customer."""
    holds = [
        {
            "reservation_id": request.order_id,
            "sku": sku_of_pool(name),
            "bin": name,
            "quantity": units,
            "customer": request.customer if pools[name].customer_limit is not None else "",
            "contact": request.contact if pools[name].customer_limit is not None else "",
        }
        for request in requests
        for name, units in request.units.items()
    ]
    if holds:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO inventory_hold (reservation_id, sku, bin, quantity, given_back, customer, contact)
                SELECT reservation_id, sku, bin, quantity, 0, customer, contact
                FROM json_to_recordset(%s)
                    AS h(reservation_id uuid, sku text, bin text, quantity int, customer text, contact text)
                """,
                [bulk_rows.as_json(holds)],
            )


def units_of(order_ids: Sequence[UUID]) -> list[OrderUnits]:
    """What these orders have and did not give back, by pool."""
    if not order_ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT reservation_id, bin, quantity - given_back FROM inventory_hold
            WHERE reservation_id = ANY(%s::uuid[]) AND quantity > given_back ORDER BY id
            """,
            [bulk_rows.uuids(order_ids)],
        )
        return [OrderUnits(*row) for row in cursor.fetchall()]


def set_given_back(totals: Sequence[Mapping[str, object]]) -> list[OrderUnits]:
    """Raise the units given back to these totals (`order_id`, `sku`, `units`); returns by how much each changed."""
    if not totals:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inventory_hold h SET given_back = w.units
            FROM json_to_recordset(%s) AS w(order_id uuid, sku text, units int), inventory_hold before
            WHERE h.reservation_id = w.order_id AND h.sku = w.sku AND h.given_back < w.units AND before.id = h.id
            RETURNING h.reservation_id, h.bin, h.given_back - before.given_back
            """,
            [bulk_rows.as_json(totals)],
        )
        return [OrderUnits(*row) for row in cursor.fetchall()]
