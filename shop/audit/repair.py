"""Mending what an audit found, as far as that is safe: by the services that would have done it anyway.

Nothing here decides about money, and nothing takes units from an order that goes on: that is for people. First it is
planned; each act says what it would do, and says what it did once it has done it. Carried out while the shop is at
work, it finds what there is to do under the locks that everybody takes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

import redis
from django.db import IntegrityError, connection, transaction

from inventory import counter_sync, holds, ledger, stock_adjustments
from inventory.ledger import Kind, MovementEntry
from inventory.models import Stock
from orders.actions import cancellation
from shop.audit import external_checks, orders, runner, stock
from shop.audit.report import AuditReport, Finding

_BATCH = 500
_MENDED = frozenset(
    {
        external_checks.GATE_SUM.name,
        external_checks.GATE_FREE.name,
        stock.HOLDS.name,
        stock.LEFTOVERS.name,
        stock.EXPIRED.name,
        orders.DEADLINE.name,
    }
)


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that can be mended."""

    plan: str
    """What would be done, in words."""
    carry_out: Callable[[], str]
    """Does it, and says in words what was done."""


def plan(report: AuditReport, *, grace_seconds: float, by: str) -> list[Act]:
    """What can be mended of what this audit found, in the sequence in which it is to be done; changes nothing."""
    broken = {finding.name for finding in report.broken}
    acts: list[Act] = []
    if orders.DEADLINE.name in broken:
        acts.append(Act(plan="cancel the orders that are past their deadline", carry_out=_cancel_overdue))
    if stock.EXPIRED.name in broken:
        acts.append(Act(plan="give up the holds that were not paid in time", carry_out=_expire))
    if stock.LIVE.name in broken and (ended := _cancelled_with_units(grace_seconds)):
        acts.append(
            Act(
                plan=f"release what {_number(len(ended), 'cancelled order')} still {_has(ended)}",
                carry_out=lambda: _release(ended, by),
            )
        )
    if broken & {stock.HOLDS.name, stock.LEDGER.name}:
        acts += [_correction(state, by) for state in _bins_off()]
    if stock.LEFTOVERS.name in broken:
        acts.append(Act(plan="return what sales that are over have left", carry_out=_return_unsold))
    if broken & {external_checks.GATE_SUM.name, external_checks.GATE_FREE.name}:
        acts.append(Act(plan="make the gate anew from PostgreSQL", carry_out=lambda: _rebuild_gate(by)))
    return acts


def left_over(report: AuditReport) -> list[str]:
    """Of what the audit found before a repair, what a person will have to do, at least in part."""
    return remedies(finding for finding in report.broken if finding.name not in _MENDED)


def remedies(findings: Iterable[Finding]) -> list[str]:
    """What is to be done about each of these."""
    return [f"{finding.name}: {runner.RULES[finding.name].remedy}" for finding in findings]


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _has(of: list[UUID]) -> str:
    return "has" if len(of) == 1 else "have"


# -- Orders and their holds -----------------------------------------------------------------------------
def _cancel_overdue() -> str:
    def step() -> int:
        return cancellation.cancel_overdue(limit=_BATCH)

    return f"{_number(_until_done(step), 'order')} past the deadline cancelled; what they have goes back by events"


def _expire() -> str:
    def step() -> int:
        return holds.expire(limit=_BATCH)

    return f"{_number(_until_done(step), 'hold')} given up; those whose payment is under way stay"


def _return_unsold() -> str:
    return (
        f"{_number(_until_done(stock_adjustments.return_unsold), 'unit')} of sales that are over returned to the shelf"
    )


def _until_done(step: Callable[[], int]) -> int:
    """Do it a batch at a time, a transaction each, until there is nothing left; how much was done."""
    done = 0
    while True:
        with transaction.atomic(durable=True):
            count = step()
        if not count:
            return done
        done += count


def _cancelled_with_units(grace_seconds: float) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT r.order_id FROM inventory_reservation r JOIN orders_order o ON o.id = r.order_id
            WHERE r.state IN ('held', 'sold') AND o.status = 'CANCELLED'
                AND greatest(o.cancelled_at, r.updated_at) <= now() - %s * interval '1 second'
            ORDER BY r.order_id
            """,
            [grace_seconds],
        )
        return [row[0] for row in cursor.fetchall()]


def _release(order_ids: list[UUID], by: str) -> str:
    # A cancelled order stays cancelled, so these can be released however long ago they were found.
    for start in range(0, len(order_ids), _BATCH):
        with transaction.atomic(durable=True):
            holds.release(
                order_ids=order_ids[start : start + _BATCH], reason=f"order cancelled; found by the audit of {by}"
            )
    return f"{_number(len(order_ids), 'cancelled order')} released: {_listed(order_ids)}"


def _listed(order_ids: list[UUID]) -> str:
    more = f" and {len(order_ids) - 5:,} more" if len(order_ids) > 5 else ""
    return ", ".join(map(str, order_ids[:5])) + more


# -- Bins -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class _Bin:
    """What three sources say about the units of a bin that are held and sold."""

    bin: str
    row: tuple[int, int]
    ledger: tuple[int, int]
    orders: tuple[int, int]
    """The truth: an order has its units because its hold says so."""

    @property
    def is_off(self) -> bool:
        """Whether they disagree."""
        return not self.row == self.ledger == self.orders


_BINS = """
SELECT s.bin, s.held, s.sold, coalesce(n.held, 0), coalesce(n.sold, 0), coalesce(u.held, 0), coalesce(u.sold, 0)
FROM inventory_stock s LEFT JOIN (
    SELECT bin, sum(held) AS held, sum(sold) AS sold FROM inventory_movement GROUP BY bin
) AS n ON n.bin = s.bin LEFT JOIN (
    SELECT h.bin, sum(CASE WHEN r.state = 'held' THEN h.quantity - h.given_back ELSE 0 END) AS held,
        sum(CASE WHEN r.state = 'sold' THEN h.quantity - h.given_back ELSE 0 END) AS sold
    FROM inventory_hold h JOIN inventory_reservation r ON r.order_id = h.reservation_id
    WHERE r.state IN ('held', 'sold') GROUP BY h.bin
) AS u ON u.bin = s.bin
WHERE %(bin)s IS NULL OR s.bin = %(bin)s ORDER BY s.bin
"""


def _bins_off(only: str | None = None) -> Iterator[_Bin]:
    with connection.cursor() as cursor:
        cursor.execute(_BINS, {"bin": only})
        rows = cursor.fetchall()
    for name, held, sold, noted_held, noted_sold, orders_held, orders_sold in rows:
        found = _Bin(
            bin=name,
            row=(held, sold),
            ledger=(int(noted_held), int(noted_sold)),
            orders=(int(orders_held), int(orders_sold)),
        )
        if found.is_off:
            yield found


def _correction(state: _Bin, by: str) -> Act:
    return Act(
        plan=f"bring bin {state.bin} to what its orders have: {_pair(state.orders)}, instead of {_pair(state.row)}",
        carry_out=lambda: _correct(state.bin, by),
    )


def _correct(name: str, by: str) -> str:
    try:
        with transaction.atomic(durable=True):
            return _correct_locked(name, by)
    except IntegrityError:
        return f"bin {name} left alone: its orders have more units than it received; somebody has to count them"


def _correct_locked(name: str, by: str) -> str:
    """Whoever changes a hold changes its bin in the same transaction; with the bin's lock, both stand still."""
    ledger.lock([name])
    state = next(_bins_off(name), None)
    if state is None:
        return f"bin {name} is right by now"
    if state.row != state.ledger:
        # Somebody changed the row past the ledger; it follows the ledger first, so that the correction brings both to
        # what the orders have.
        held, sold = state.ledger
        Stock.objects.filter(bin=name).update(held=held, sold=sold)
    (held, sold), (had_held, had_sold) = state.orders, state.ledger
    reason = f"audit: orders have {_pair(state.orders)}, the stock row said {_pair(state.row)}"
    entry = MovementEntry(
        bin=name, kind=Kind.CORRECTED, held=held - had_held, sold=sold - had_sold, by=by, reason=reason
    )
    ledger.write([entry])
    return f"bin {name} corrected: {_pair(state.orders)}, instead of {_pair(state.row)}"


def _pair(units: tuple[int, int]) -> str:
    return f"{units[0]:,} held and {units[1]:,} sold"


def _rebuild_gate(by: str) -> str:
    try:
        done = counter_sync.rebuild(f"the audit of {by} asked for it")
    except (redis.RedisError, OSError) as error:
        return f"the gate could not be made anew: Redis does not answer ({error})"
    return f"the gate: {done or 'somebody else is making it anew right now'}"
