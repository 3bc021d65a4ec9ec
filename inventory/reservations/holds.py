"""Holding, selling and releasing stock, a batch of orders at a time.

The Redis counters admit (`admission.py`), PostgreSQL decides (`allocation.py`). Every function needs a transaction.
An order holds all of its lines or none of them. Holds that run out are in `expiry.py`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from inventory import ledger
from inventory.ledger import Kind, MovementEntry
from inventory.models import Reservation
from inventory.redis_counters import admission
from inventory.reservations import allocation, reservation_rows
from inventory.reservations.reservation_requests import HELD, ReservationOutcome, ReservationRequest, check_quantities
from inventory.reservations.reservation_rows import NewReservation, OrderUnits
from kafka_bridge.runtime.postgresql import transactions

__all__ = ["HELD", "ReservationOutcome", "ReservationRequest", "give_back", "hold", "release", "sell"]

State = Reservation.State


def hold(*, requests: Sequence[ReservationRequest], as_sold: bool = False) -> dict[UUID, ReservationOutcome]:
    """Hold all units of each order, or none of them; first come, first served.

    An order that inventory has dealt with before (held, refused, released because it was cancelled) is left alone and
    is missing from the result. `as_sold` is for orders that are paid already.

    Raises:
        ValueError: a quantity is impossible.
    """
    transactions.require("inventory.reservations.holds")
    check_quantities(requests)
    new = reservation_rows.create_missing([_new(request) for request in requests])
    requests = [request for request in requests if request.order_id in new]
    outcomes = allocation.confirm_refusals(_refused_by_counters(requests))
    # The rest goes to PostgreSQL: admitted, unknown, and refused although PostgreSQL has enough after all.
    open_requests = [request for request in requests if request.order_id not in outcomes]
    allocator = allocation.Allocator(open_requests)
    outcomes |= {request.order_id: allocator.allocate(request) for request in open_requests}
    held = [request for request in open_requests if outcomes[request.order_id].held]
    reservation_rows.insert_holds(held, allocator.pools)
    until = {request.order_id: None if as_sold else allocator.expiry(request) for request in held}
    reservation_rows.set_state(until, State.SOLD if as_sold else State.HELD)
    outcomes |= {order_id: replace(HELD, until=at) for order_id, at in until.items()}
    # Also those that were refused: the counters must let go of whatever they admitted.
    ledger.write([_taken(request, name, as_sold=as_sold) for request in held for name in request.units], settled=new)
    return outcomes


def sell(*, order_ids: Iterable[UUID]) -> None:
    """Turn the holds of these orders into sales; orders without one (released meanwhile, sold already) stay."""
    transactions.require("inventory.reservations.holds")
    ids = reservation_rows.lock(order_ids, State.HELD)
    units = reservation_rows.units_of(ids)
    reservation_rows.set_state(dict.fromkeys(ids), State.SOLD)
    ledger.lock(part.pool for part in units)
    ledger.write(
        [
            MovementEntry(
                pool=part.pool,
                kind=Kind.SOLD,
                held=-part.units,
                sold=part.units,
                order_id=part.order_id,
                reason="paid",
            )
            for part in units
        ]
    )


def release(*, order_ids: Iterable[UUID], reason: str = "order cancelled") -> None:
    """Give back whatever these orders hold or bought; a second call finds nothing to give back.

    An order that inventory has not heard of gets a row as well. With `payment_first` the hold follows from
    `payment.confirmed`, which is in another topic than `order.cancelled` and may arrive later; it then finds the row.
    """
    transactions.require("inventory.reservations.holds")
    ids = list(order_ids)
    reservation_rows.create_missing([NewReservation(order_id) for order_id in ids])
    held, sold = reservation_rows.lock(ids, State.HELD), reservation_rows.lock(ids, State.SOLD)
    put_back(held=held, sold=sold, state=State.RELEASED, kind=Kind.RELEASED, reason=reason)


def give_back(*, reductions: Mapping[UUID, Mapping[str, int]], reason: str = "part of the order cancelled") -> None:
    """Give back some units of some lines: by order and sku, all units that were cancelled so far.

    The numbers are totals, so it is harmless to hear them twice or in the wrong sequence. Orders that hold nothing
    (any more) are left alone.
    """
    transactions.require("inventory.reservations.holds")
    held = set(reservation_rows.lock(reductions, State.HELD))
    sold = reservation_rows.lock(reductions, State.SOLD)
    totals = [
        {"order_id": order_id, "sku": sku, "units": units}
        for order_id in [*held, *sold]
        for sku, units in reductions[order_id].items()
    ]
    units = reservation_rows.set_given_back(totals)
    ledger.lock(part.pool for part in units)
    ledger.write([_returned(part, was_held=part.order_id in held, kind=Kind.RELEASED, reason=reason) for part in units])


def put_back(
    *, held: Collection[UUID], sold: Collection[UUID], state: Reservation.State, kind: Kind, reason: str
) -> None:
    """Free the units of these orders, whose reservations are locked, and set the new state.

    Held and sold orders go together so that each pool is locked once, in one sequence.
    """
    units = reservation_rows.units_of([*held, *sold])
    reservation_rows.set_state(dict.fromkeys([*held, *sold]), state)
    ledger.lock(part.pool for part in units)
    were_held = set(held)
    ledger.write([_returned(part, was_held=part.order_id in were_held, kind=kind, reason=reason) for part in units])


def _refused_by_counters(requests: Sequence[ReservationRequest]) -> list[ReservationRequest]:
    decisions = admission.admit([(request.order_id, request.units) for request in requests])
    return [
        request
        for request, decision in zip(requests, decisions, strict=True)
        if decision is admission.AdmissionDecision.REFUSED
    ]


def _new(request: ReservationRequest) -> NewReservation:
    return NewReservation(request.order_id, request.flow, request.visitor, request.network)


def _taken(request: ReservationRequest, pool: str, *, as_sold: bool) -> MovementEntry:
    order_id, units = request.order_id, request.units[pool]
    if as_sold:
        return MovementEntry(pool=pool, kind=Kind.SOLD, sold=units, order_id=order_id, reason="paid before it was held")
    return MovementEntry(pool=pool, kind=Kind.HELD, held=units, order_id=order_id, reason="ordered")


def _returned(part: OrderUnits, *, was_held: bool, kind: Kind, reason: str) -> MovementEntry:
    return MovementEntry(
        pool=part.pool,
        kind=kind,
        held=-part.units if was_held else 0,
        sold=0 if was_held else -part.units,
        order_id=part.order_id,
        reason=reason,
    )
