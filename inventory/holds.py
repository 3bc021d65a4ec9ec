"""Holding, selling and releasing stock, a batch of orders at a time. Redis admits (`admission.py`), PostgreSQL decides.

Every function needs a transaction under way. An order holds all of its lines or none of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from events import catalogue
from inventory import admission, ledger
from inventory.ledger import Kind, Locked, MovementEntry
from inventory.models import UNITS_MAX, Reservation
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime import bulk_rows, transactions

State = Reservation.State
# So long is a hold left alone whose money is being captured when it runs out, or is in; it becomes a sale any moment.
_SECOND_LOOK_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class ReservationRequest:
    """All that one order wants: units by bin (see `models.bin_of`)."""

    order_id: UUID
    units: Mapping[str, int]
    flow: str = catalogue.RESERVE_FIRST
    customer: str = ""
    """Whoever buys, as a pseudonym; for bins with a limit per customer."""


@dataclass(frozen=True, kw_only=True)
class ReservationOutcome:
    """What became of a wish; where nothing is held, the skus that were the reason."""

    held: bool
    missing: tuple[str, ...] = ()
    """Of these there was not enough."""
    over_limit: tuple[str, ...] = ()
    """Of these the customer would have had more than allowed."""
    until: datetime | None = field(default=None, compare=False)
    """When the hold is given up unless it is paid."""


HELD = ReservationOutcome(held=True)


def hold(*, wishes: Sequence[ReservationRequest], as_sold: bool = False) -> dict[UUID, ReservationOutcome]:
    """Hold all units of each order, or none of them, first come first served.

    An order that inventory has dealt with before (held, refused, released because it was cancelled) is left alone and
    is not in the answer. `as_sold` is for orders that are paid already.

    Raises:
        ValueError: a quantity is impossible.
    """
    transactions.require("inventory.services")
    _refuse_nonsense(wishes)
    new = _new_reservations([(wish.order_id, wish.flow) for wish in wishes])
    wishes = [wish for wish in wishes if wish.order_id in new]
    verdicts = admission.admit([(wish.order_id, wish.units) for wish in wishes])
    refused = [wish for wish, verdict in zip(wishes, verdicts, strict=True) if verdict is admission.Verdict.REFUSED]
    outcomes = _confirm(refused)
    # What the gate let through, what it could not tell, and whom it refused while PostgreSQL has enough after all.
    open_wishes = [wish for wish in wishes if wish.order_id not in outcomes]
    counter = _Counter(open_wishes)
    outcomes |= {wish.order_id: counter.serve(wish) for wish in open_wishes}
    held = [wish for wish in open_wishes if outcomes[wish.order_id].held]
    _insert_holds(held, counter.bins)
    until = {wish.order_id: None if as_sold else counter.expiry(wish) for wish in held}
    _set_state(until, State.SOLD if as_sold else State.HELD)
    outcomes |= {order_id: replace(HELD, until=at) for order_id, at in until.items()}
    entries = [
        MovementEntry(bin=name, kind=Kind.SOLD, sold=units, order_id=wish.order_id, reason="paid before it was held")
        if as_sold
        else MovementEntry(bin=name, kind=Kind.HELD, held=units, order_id=wish.order_id, reason="ordered")
        for wish in held
        for name, units in wish.units.items()
    ]
    ledger.write(entries, settled=new)
    return outcomes


def sell(*, order_ids: Iterable[UUID]) -> None:
    """The holds of these orders become sales; orders without one (released meanwhile, sold already) are left alone."""
    transactions.require("inventory.services")
    ids = _lock_reservations(order_ids, State.HELD)
    parts = _parts_of(ids)
    _set_state(dict.fromkeys(ids), State.SOLD)
    ledger.lock(part.bin for part in parts)
    ledger.write(
        [
            MovementEntry(bin=p.bin, kind=Kind.SOLD, held=-p.units, sold=p.units, order_id=p.order_id, reason="paid")
            for p in parts
        ]
    )


def release(*, order_ids: Iterable[UUID], reason: str = "order cancelled") -> None:
    """Give back whatever these orders hold or bought; a second call finds nothing to give.

    An order that inventory has not heard of gets a row all the same, so that a hold that comes late finds it is over.
    """
    transactions.require("inventory.services")
    ids = list(order_ids)
    _new_reservations([(order_id, "") for order_id in ids])  # as refused: nothing held, and nothing to hold any more
    held, sold = _lock_reservations(ids, State.HELD), _lock_reservations(ids, State.SOLD)
    _put_back(held=held, sold=sold, state=State.RELEASED, kind=Kind.RELEASED, reason=reason)


def give_back(*, reductions: Mapping[UUID, Mapping[str, int]], reason: str = "part of the order cancelled") -> None:
    """Give back some units of some lines: by order and sku, all units that were cancelled so far.

    As the numbers are totals, hearing them twice or in the wrong sequence is harmless. Orders that hold nothing (any
    more) are left alone.
    """
    transactions.require("inventory.services")
    held = set(_lock_reservations(reductions, State.HELD))
    sold = _lock_reservations(reductions, State.SOLD)
    wanted = [
        {"order_id": order_id, "sku": sku, "units": units}
        for order_id in [*held, *sold]
        for sku, units in reductions[order_id].items()
    ]
    parts = _reduce_holds(wanted)
    ledger.lock(part.bin for part in parts)
    ledger.write(
        [
            MovementEntry(
                bin=part.bin,
                kind=Kind.RELEASED,
                held=-part.units if part.order_id in held else 0,
                sold=0 if part.order_id in held else -part.units,
                order_id=part.order_id,
                reason=reason,
            )
            for part in parts
        ]
    )


def expire(*, limit: int = 500) -> int:
    """Give up holds whose time is over, and state it. Returns how many.

    Money that is being captured wins: payments is asked, in the same transaction, to see to it that nothing is taken
    for these orders, and only those of which it can say so lose their hold. Either the money or the hold is gone.
    """
    transactions.require("inventory.services")
    due = _lock_expired(limit)
    if not due:
        return 0
    never_charged = _stop_payments(due)
    under_way = [order_id for order_id in due if order_id not in never_charged]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE inventory_reservation SET expires_at = clock_timestamp() + %s * interval '1 second' "
            "WHERE order_id = ANY(%s::uuid[])",
            [_SECOND_LOOK_SECONDS, bulk_rows.uuids(under_way)],
        )
    over = [order_id for order_id in due if order_id in never_charged]
    _put_back(held=over, sold=[], state=State.EXPIRED, kind=Kind.EXPIRED, reason="not paid in time")
    if over:
        outbox.publish(*(catalogue.InventoryExpired(order_id=order_id, flow=due[order_id]) for order_id in over))
    return len(over)


class _Counter:
    """The counter at which orders are served in turn: the bins they want, locked, and what is left in each."""

    def __init__(self, wishes: Sequence[ReservationRequest]) -> None:
        self.bins: Mapping[str, Locked] = ledger.lock(name for wish in wishes for name in wish.units) if wishes else {}
        self._free = Counter({name: locked.free for name, locked in self.bins.items()})
        self._had = self._units_of_customers(wishes)

    def serve(self, wish: ReservationRequest) -> ReservationOutcome:
        """All lines of the order, or none."""
        missing = tuple(_skus(name for name, units in wish.units.items() if self._free[name] < units))
        over_limit = tuple(_skus(self._over_limit(wish)))
        if missing or over_limit:
            return ReservationOutcome(held=False, missing=missing, over_limit=over_limit)
        self._free.subtract(wish.units)
        self._had.update({(wish.customer, name): units for name, units in wish.units.items()})
        return HELD

    def expiry(self, wish: ReservationRequest) -> datetime:
        """Until when the order is held: as long as the most impatient of its bins says, or the setting."""
        bins = [self.bins[name] for name in wish.units]
        own = [each.hold_seconds for each in bins if each.hold_seconds is not None]
        return min(each.at for each in bins) + timedelta(seconds=min(own, default=settings.HOLD_SECONDS))

    def _over_limit(self, wish: ReservationRequest) -> Iterator[str]:
        for name, units in wish.units.items():
            limit = self.bins[name].customer_limit if name in self.bins else None
            if limit is not None and self._had[wish.customer, name] + units > limit:
                yield name

    def _units_of_customers(self, wishes: Sequence[ReservationRequest]) -> Counter[tuple[str, str]]:
        """What customers have of bins with a limit; read after the lock, so nobody else adds to it meanwhile."""
        limited = {name for name, locked in self.bins.items() if locked.customer_limit is not None}
        customers = {wish.customer for wish in wishes if limited & wish.units.keys()}
        if not customers:
            return Counter()
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT h.customer, h.bin, sum(h.quantity - h.given_back)
                FROM inventory_hold h JOIN inventory_reservation r ON r.order_id = h.reservation_id
                WHERE h.customer = ANY(%s) AND h.customer <> '' AND h.bin = ANY(%s) AND r.state IN ('held', 'sold')
                GROUP BY h.customer, h.bin
                """,
                [sorted(customers), sorted(limited)],
            )
            return Counter({(customer, name): int(units) for customer, name, units in cursor.fetchall()})


def _confirm(refused: Sequence[ReservationRequest]) -> dict[UUID, ReservationOutcome]:
    """Of the orders that the gate refused, those for which PostgreSQL has too little as well; no lock is taken."""
    if not refused:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bin, received - held - sold FROM inventory_stock WHERE bin = ANY(%s)",
            [sorted({name for wish in refused for name in wish.units})],
        )
        free: Counter[str] = Counter(dict(cursor.fetchall()))
    missing = {wish.order_id: tuple(_skus(n for n, units in wish.units.items() if free[n] < units)) for wish in refused}
    return {order_id: ReservationOutcome(held=False, missing=skus) for order_id, skus in missing.items() if skus}


@dataclass(frozen=True, slots=True)
class _Part:
    """So many units of a bin that one order has."""

    order_id: UUID
    bin: str
    units: int


def _put_back(*, held: Sequence[UUID], sold: Sequence[UUID], state: State, kind: Kind, reason: str) -> None:
    """These orders' units are free again. Held and sold ones together: a bin is locked once, in one sequence."""
    parts = _parts_of([*held, *sold])
    _set_state(dict.fromkeys([*held, *sold]), state)
    ledger.lock(part.bin for part in parts)
    were_held = set(held)
    ledger.write(
        [
            MovementEntry(
                bin=part.bin,
                kind=kind,
                held=-part.units if part.order_id in were_held else 0,
                sold=0 if part.order_id in were_held else -part.units,
                order_id=part.order_id,
                reason=reason,
            )
            for part in parts
        ]
    )


def _stop_payments(orders: Mapping[UUID, str]) -> set[UUID]:
    """Ask payments, which inventory may not import; `settings.INVENTORY_PAYMENT_STOP` names whom to ask."""
    stop: Callable[[Mapping[UUID, str]], set[UUID]] = import_string(settings.INVENTORY_PAYMENT_STOP)
    return stop(orders)


def _refuse_nonsense(wishes: Sequence[ReservationRequest]) -> None:
    for wish in wishes:
        if not wish.units or any(not 1 <= units <= UNITS_MAX for units in wish.units.values()):
            raise ValueError(
                f"order {wish.order_id} wants {dict(wish.units)}: every quantity must be 1 to {UNITS_MAX}, and some "
                "book there must be"
            )


def _skus(bins: Iterable[str]) -> list[str]:
    return sorted({name.partition("@")[0] for name in bins})


def _new_reservations(orders: Sequence[tuple[UUID, str]]) -> set[UUID]:
    """Make a row for each order that has none, as refused until something is held; return those."""
    if not orders:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_reservation (order_id, flow, state)
            SELECT order_id, flow, 'refused' FROM json_to_recordset(%s) AS t(order_id uuid, flow text)
            ON CONFLICT DO NOTHING RETURNING order_id
            """,
            [bulk_rows.as_json([{"order_id": order_id, "flow": flow} for order_id, flow in sorted(orders)])],
        )
        return {row[0] for row in cursor.fetchall()}


def _lock_reservations(order_ids: Iterable[UUID], state: State) -> list[UUID]:
    """Those of the orders whose reservation is in this state, locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT order_id FROM inventory_reservation WHERE order_id = ANY(%s::uuid[]) AND state = %s
            ORDER BY order_id FOR UPDATE
            """,
            [bulk_rows.uuids(order_ids), state.value],
        )
        return [row[0] for row in cursor.fetchall()]


def _lock_expired(limit: int) -> dict[UUID, str]:
    """Orders whose hold has run out, with their flows, locked; those that somebody else has in hand are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT order_id, flow FROM inventory_reservation WHERE state = 'held' AND expires_at < now()
            ORDER BY order_id LIMIT %s FOR UPDATE SKIP LOCKED
            """,
            [limit],
        )
        return dict(cursor.fetchall())


def _insert_holds(wishes: Sequence[ReservationRequest], bins: Mapping[str, Locked]) -> None:
    holds = [
        {
            "reservation_id": wish.order_id,
            "sku": name.partition("@")[0],
            "bin": name,
            "quantity": units,
            "customer": wish.customer if bins[name].customer_limit is not None else "",
        }
        for wish in wishes
        for name, units in wish.units.items()
    ]
    if holds:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO inventory_hold (reservation_id, sku, bin, quantity, given_back, customer)
                SELECT reservation_id, sku, bin, quantity, 0, customer
                FROM json_to_recordset(%s) AS h(reservation_id uuid, sku text, bin text, quantity int, customer text)
                """,
                [bulk_rows.as_json(holds)],
            )


def _reduce_holds(wanted: Sequence[Mapping[str, object]]) -> list[_Part]:
    """Bring the holds to these totals of units given back; returns by how much each changed."""
    if not wanted:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inventory_hold h SET given_back = w.units
            FROM json_to_recordset(%s) AS w(order_id uuid, sku text, units int), inventory_hold before
            WHERE h.reservation_id = w.order_id AND h.sku = w.sku AND h.given_back < w.units AND before.id = h.id
            RETURNING h.reservation_id, h.bin, h.given_back - before.given_back
            """,
            [bulk_rows.as_json(wanted)],
        )
        return [_Part(*row) for row in cursor.fetchall()]


def _parts_of(order_ids: Sequence[UUID]) -> list[_Part]:
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
        return [_Part(*row) for row in cursor.fetchall()]


def _set_state(expiries: Mapping[UUID, datetime | None], state: State) -> None:
    """Bring these orders to this state, each with the moment at which it runs out, if it does."""
    if not expiries:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inventory_reservation r SET state = %s, expires_at = s.expires_at, updated_at = now()
            FROM json_to_recordset(%s) AS s(order_id uuid, expires_at timestamptz) WHERE r.order_id = s.order_id
            """,
            [state.value, bulk_rows.as_json([{"order_id": i, "expires_at": at} for i, at in expiries.items()])],
        )
