"""Holding, selling and releasing stock. PostgreSQL decides, a batch of orders at a time.

Every function needs a transaction under way. Rows are locked in one sequence everywhere (reservations by order id, then
stock by sku), so two batches with the same books wait for each other and never deadlock.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from inventory.models import Reservation

State = Reservation.State


@dataclass(frozen=True, kw_only=True)
class Wish:
    """All that one order wants: units by sku."""

    order_id: UUID
    units: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a wish."""

    held: bool
    missing: tuple[str, ...] = ()
    """The skus of which there was not enough; nothing is held then."""


def receive(*, quantities: Mapping[str, int], reason: str) -> None:
    """Units have arrived, by sku.

    Raises:
        ValueError: a quantity is below 1.
    """
    _require_transaction()
    if wrong := {sku: units for sku, units in quantities.items() if units < 1}:
        raise ValueError(f"quantities received must be 1 or more ({reason}): {wrong}")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_stock (sku, received, held, sold)
            SELECT sku, units, 0, 0 FROM unnest(%s::text[], %s::int[]) AS r(sku, units)
            ON CONFLICT (sku) DO UPDATE
            SET received = inventory_stock.received + excluded.received, updated_at = now()
            """,
            _columns(sorted(quantities.items())),
        )


def hold(*, wishes: Sequence[Wish], as_sold: bool = False) -> dict[UUID, Outcome]:
    """Hold all units of each order, or none of them, first come first served.

    An order that inventory has dealt with before (held, refused, released because it was cancelled) is left alone and
    is not in the answer. `as_sold` is for orders that are paid already.
    """
    _require_transaction()
    _refuse_nonsense(wishes)
    new = _new_reservations([wish.order_id for wish in wishes])
    wishes = [wish for wish in wishes if wish.order_id in new]
    if not wishes:
        return {}
    free = _lock_stock({sku for wish in wishes for sku in wish.units})
    outcomes: dict[UUID, Outcome] = {}
    taken: Counter[str] = Counter()
    for wish in wishes:
        missing = tuple(sorted(s for s, units in wish.units.items() if free.get(s, 0) - taken[s] < units))
        if not missing:
            taken.update(wish.units)
        outcomes[wish.order_id] = Outcome(held=not missing, missing=missing)
    held = [wish for wish in wishes if outcomes[wish.order_id].held]
    _insert_holds(held)
    _set_state([wish.order_id for wish in held], State.SOLD if as_sold else State.HELD)
    _add_to_stock(**{"sold" if as_sold else "held": taken})
    return outcomes


def sell(*, order_ids: Iterable[UUID]) -> None:
    """The holds of these orders become sales; orders without one (released meanwhile, sold already) are left alone."""
    _require_transaction()
    ids = _lock_reservations(order_ids, State.HELD)
    units = _units_of(ids)
    _set_state(ids, State.SOLD)
    _add_to_stock(held=_negative(units), sold=units)


def release(*, order_ids: Iterable[UUID]) -> None:
    """Give back whatever these orders hold or bought; a second call finds nothing to give.

    An order that inventory has not heard of gets a row all the same, so that a hold that comes late finds it is over.
    """
    _require_transaction()
    ids = list(order_ids)
    _new_reservations(ids)  # as refused: nothing held, and nothing to hold any more
    held, sold = _lock_reservations(ids, State.HELD), _lock_reservations(ids, State.SOLD)
    # Counted before the state changes, and given back together: the stock's rows are locked once, in one sequence.
    given_back = {"held": _negative(_units_of(held)), "sold": _negative(_units_of(sold))}
    _set_state([*held, *sold], State.RELEASED)
    _add_to_stock(**given_back)


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("inventory.services must be called inside transaction.atomic()")


def _refuse_nonsense(wishes: Sequence[Wish]) -> None:
    for wish in wishes:
        if not wish.units or any(units < 1 for units in wish.units.values()):
            raise ValueError(f"order {wish.order_id} wants {dict(wish.units)}: every quantity must be 1 or more")


def _new_reservations(order_ids: Sequence[UUID]) -> set[UUID]:
    """Make a row for each order that has none, as refused until something is held; return those."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_reservation (order_id, state)
            SELECT id, 'refused' FROM unnest(%s::uuid[]) AS t(id)
            ON CONFLICT DO NOTHING RETURNING order_id
            """,
            [sorted(order_ids)],
        )
        return {row[0] for row in cursor.fetchall()}


def _lock_reservations(order_ids: Iterable[UUID], state: State) -> list[UUID]:
    """Those of the orders whose reservation is in this state, locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT order_id FROM inventory_reservation WHERE order_id = ANY(%s) AND state = %s
            ORDER BY order_id FOR UPDATE
            """,
            [list(order_ids), state.value],
        )
        return [row[0] for row in cursor.fetchall()]


def _lock_stock(skus: Iterable[str]) -> dict[str, int]:
    """Free units by sku, with the rows locked until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sku, received - held - sold FROM inventory_stock WHERE sku = ANY(%s) ORDER BY sku FOR UPDATE",
            [list(skus)],
        )
        return dict(cursor.fetchall())


def _insert_holds(wishes: Sequence[Wish]) -> None:
    rows = [(wish.order_id, sku, units) for wish in wishes for sku, units in wish.units.items()]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO inventory_hold (reservation_id, sku, quantity) "
                "SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[])",
                _columns(rows),
            )


def _units_of(order_ids: Sequence[UUID]) -> Counter[str]:
    if not order_ids:
        return Counter()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sku, sum(quantity) FROM inventory_hold WHERE reservation_id = ANY(%s) GROUP BY sku",
            [list(order_ids)],
        )
        return Counter({sku: int(units) for sku, units in cursor.fetchall()})


def _set_state(order_ids: Sequence[UUID], state: State) -> None:
    if order_ids:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE inventory_reservation SET state = %s, updated_at = now() WHERE order_id = ANY(%s)",
                [state.value, list(order_ids)],
            )


def _add_to_stock(*, held: Counter[str] | None = None, sold: Counter[str] | None = None) -> None:
    """Change the counts of several skus in one statement, their rows locked in order of sku first."""
    held, sold = held or Counter(), sold or Counter()
    skus = sorted({*held, *sold})
    if skus:
        _lock_stock(skus)
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE inventory_stock s SET held = s.held + d.held, sold = s.sold + d.sold, updated_at = now()
                FROM unnest(%s::text[], %s::int[], %s::int[]) AS d(sku, held, sold) WHERE s.sku = d.sku
                """,
                [skus, [held[sku] for sku in skus], [sold[sku] for sku in skus]],
            )


def _negative(units: Counter[str]) -> Counter[str]:
    return Counter({sku: -number for sku, number in units.items()})


def _columns(rows: Iterable[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
