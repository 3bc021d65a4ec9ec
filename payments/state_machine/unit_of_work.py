"""Charges under change: locked in one sequence, written in one statement, with a line of history for each step.

Whatever happens to charges, be it asked for by an event or answered by the gateway, opens a unit of work and closes it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection

from events.base import OrderEvent
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import bulk_rows, transactions
from payments.models import Charge, Refund

State = Charge.State
REASON_LENGTH = 120
_ENDS = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
_WRITTEN = (
    ("state", "text"),
    ("transaction_id", "text"),
    ("failure_reason", "text"),
    ("action_url", "text"),
    ("act_by", "timestamptz"),
    ("unknown_since", "timestamptz"),
    ("refunded_minor", "bigint"),
    ("attempts", "int"),
    ("next_attempt_at", "timestamptz"),
    ("cancel_requested", "boolean"),
    ("cancel_caused_by", "uuid"),
    ("last_error", "text"),
    ("settled_at", "timestamptz"),
)
# The charges as they are now, and the lines of their histories.
_WRITE = f"""
WITH noted AS (
    INSERT INTO payments_chargeentry (charge_id, at, what, state, amount_minor, detail)
    SELECT charge_id, clock_timestamp(), what, state, amount_minor, detail
    FROM json_to_recordset(%s) AS n(charge_id uuid, what text, state text, amount_minor bigint, detail text)
)
UPDATE payments_charge c SET {", ".join(f"{name} = w.{name}" for name, _ in _WRITTEN)}
FROM json_to_recordset(%s) AS w(id uuid, {", ".join(f"{name} {kind}" for name, kind in _WRITTEN)})
WHERE c.id = w.id AND c.id = ANY(%s::uuid[])
"""  # noqa: S608 - made of the constants above


@dataclass
class UnitOfWork:
    """Some charges, locked, and what is written and stated about them at the end."""

    charges: dict[UUID, Charge]
    """By their own ids."""
    now: datetime
    """By the database's clock."""
    _stated: list[outbox.Caused] = field(default_factory=list)
    _history: list[dict[str, object]] = field(default_factory=list)
    _changed: set[UUID] = field(default_factory=set)
    _refunds: list[Refund] = field(default_factory=list)
    _known_refunds: set[tuple[UUID, str]] | None = None

    def __iter__(self) -> Iterator[Charge]:
        return iter(self.charges.values())

    def note(self, charge: Charge, what: str, detail: str = "", *, amount_minor: int | None = None) -> None:
        """Leave a line in the charge's history, with the state that it has now; the charge is written at the end."""
        self.touch(charge)
        self._history.append(
            {
                "charge_id": charge.pk,
                "what": what[:60],
                "state": charge.state,
                "amount_minor": amount_minor,
                "detail": clean(detail, 300),
            }
        )

    def touch(self, charge: Charge) -> None:
        """Have the charge written at the end."""
        self._changed.add(charge.pk)

    def state(self, event: OrderEvent, *, caused_by: UUID | None) -> None:
        """State this at the end, as following from the event of that id."""
        self._stated.append(outbox.Caused(event, caused_by))

    def cancel(self, charge: Charge) -> None:
        """The order is over; the event that is being handled, if there is one, said so."""
        charge.cancel_requested, charge.cancel_caused_by = True, outbox.cause_of(str(charge.order_id))

    def move(self, charge: Charge, state: State) -> None:
        """Begin the next step, which is due at once, or end."""
        charge.state = state
        charge.attempts, charge.last_error = 0, ""
        # What is half done keeps its place before what has not been begun.
        charge.next_attempt_at = charge.created_at if state is State.AUTHORIZED else self.now
        charge.settled_at = self.now if state in _ENDS else None
        self.touch(charge)

    def give_back(self, charge: Charge, amount_minor: int, reason: str) -> None:
        """Have this much of a captured charge refunded, once for each reason, and never more than is left of it."""
        reason = clean(reason, REASON_LENGTH)
        amount_minor = min(amount_minor, charge.left_minor)
        if amount_minor <= 0 or (charge.pk, reason) in self._known():
            return
        self._known().add((charge.pk, reason))
        # What is captured too late goes back because the order was over before.
        caused_by = outbox.cause_of(str(charge.order_id)) or charge.cancel_caused_by
        self._refunds.append(Refund(charge=charge, amount_minor=amount_minor, reason=reason, caused_by=caused_by))
        charge.refunded_minor += amount_minor
        self.note(charge, "refund requested", reason, amount_minor=amount_minor)

    def close(self) -> None:
        """Write it all, and state what follows."""
        if self._changed:
            self._write([self.charges[pk] for pk in sorted(self._changed)])
        if self._refunds:
            Refund.objects.bulk_create(self._refunds)
        if self._stated:
            outbox.publish(*self._stated)

    def _known(self) -> set[tuple[UUID, str]]:
        """Refunds that there are of these charges; nobody adds to them while the charges are locked."""
        if self._known_refunds is None:
            found = Refund.objects.filter(charge__in=list(self.charges)).order_by()
            self._known_refunds = set(found.values_list("charge", "reason"))
        return self._known_refunds

    def _write(self, charges: list[Charge]) -> None:
        """Whatever has a line of history is among these."""
        written = [{"id": c.pk, **{name: getattr(c, name) for name, _ in _WRITTEN}} for c in charges]
        rows = map(bulk_rows.as_json, (self._history, written))
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [*rows, bulk_rows.uuids(c.pk for c in charges)])


def of_orders(order_ids: Iterable[UUID]) -> UnitOfWork:
    """The charges of these orders."""
    return _open("order_id", order_ids)


def of_charges(charge_ids: Iterable[UUID]) -> UnitOfWork:
    """These charges; ids that belong to none are left out."""
    return _open("id", charge_ids)


def _open(column: str, ids: Iterable[UUID]) -> UnitOfWork:
    """Lock in one sequence, as everybody does, so that nobody waits for another in a circle."""
    transactions.require("a change of charges")
    statement = f"SELECT * FROM payments_charge WHERE {column} = ANY(%s::uuid[]) ORDER BY id FOR UPDATE"  # noqa: S608
    locked = list(Charge.objects.raw(statement, [bulk_rows.uuids(ids)]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    return UnitOfWork({charge.pk: charge for charge in locked}, now)


def clean(text: str, length: int) -> str:
    """A text from outside, as PostgreSQL takes it."""
    return text.replace("\0", "")[:length]
