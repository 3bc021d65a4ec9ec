"""Repairs what an audit found, as far as that is safe, with the same services that would have done it anyway.

Nothing here decides about money or takes units from an open order: that is for people. A repair is planned first; each
action says what it would do, and afterwards what it did. The shop may be running: every action checks again, under the
usual locks, what there is to do.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

import redis
from django.db import IntegrityError, connection, transaction

from inventory import ledger, stock_adjustments
from inventory.ledger import Kind, MovementEntry
from inventory.models import Stock
from inventory.redis_counters import counter_sync
from inventory.reservations import expiry, holds
from orders.actions import cancellation
from shop.audit import external_checks, orders, runner, stock
from shop.audit.report import AuditReport, Finding

_BATCH = 500
_REPAIRED = frozenset(
    {
        external_checks.COUNTERS_SUM.name,
        external_checks.COUNTERS_SETTLED.name,
        stock.HOLDS.name,
        stock.LEFTOVERS.name,
        stock.EXPIRED.name,
        orders.DEADLINE.name,
    }
)


@dataclass(frozen=True, kw_only=True)
class RepairAction:
    """One step of a repair."""

    plan: str
    """What would be done, in words."""
    carry_out: Callable[[], str]
    """Does it, and returns what was done, in words."""


def plan(report: AuditReport, *, grace_seconds: float, by: str) -> list[RepairAction]:
    """The steps that repair what this audit found, in the sequence in which to take them; changes nothing."""
    broken = {finding.name for finding in report.broken}
    actions: list[RepairAction] = []
    if orders.DEADLINE.name in broken:
        actions.append(RepairAction(plan="cancel the orders that are past their deadline", carry_out=_cancel_overdue))
    if stock.EXPIRED.name in broken:
        actions.append(RepairAction(plan="release the holds that were not paid in time", carry_out=_expire))
    if stock.LIVE.name in broken and (ended := _cancelled_with_units(grace_seconds)):
        actions.append(
            RepairAction(
                plan=f"release what {_number(len(ended), 'cancelled order')} still {_has(ended)}",
                carry_out=lambda: _release(ended, by),
            )
        )
    if broken & {stock.HOLDS.name, stock.LEDGER.name}:
        actions += [_correction(totals, by) for totals in _wrong_pools()]
    if stock.LEFTOVERS.name in broken:
        actions.append(RepairAction(plan="return the unsold units of ended sales", carry_out=_return_unsold))
    if broken & {external_checks.COUNTERS_SUM.name, external_checks.COUNTERS_SETTLED.name}:
        actions.append(
            RepairAction(plan="rebuild the stock counters from PostgreSQL", carry_out=lambda: _rebuild_counters(by))
        )
    return actions


def left_over(report: AuditReport) -> list[str]:
    """What a repair cannot do, or not completely, and a person has to."""
    return remedies(finding for finding in report.broken if finding.name not in _REPAIRED)


def remedies(findings: Iterable[Finding]) -> list[str]:
    """What to do about each of these findings."""
    return [f"{finding.name}: {runner.RULES[finding.name].remedy}" for finding in findings]


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _has(order_ids: list[UUID]) -> str:
    return "has" if len(order_ids) == 1 else "have"


# -- Orders and their holds -----------------------------------------------------------------------------
def _cancel_overdue() -> str:
    def step() -> int:
        return cancellation.cancel_overdue(limit=_BATCH)

    return f"{_number(_until_done(step), 'order')} past the deadline cancelled; their stock and money follow by events"


def _expire() -> str:
    def step() -> int:
        return expiry.expire_holds(limit=_BATCH)

    return f"{_number(_until_done(step), 'hold')} released; those whose payment is under way stay"


def _return_unsold() -> str:
    return (
        f"{_number(_until_done(stock_adjustments.return_unsold), 'unsold unit')} of ended sales returned to normal sale"
    )


def _until_done(step: Callable[[], int]) -> int:
    """Take the step again and again, each in a transaction, until it finds nothing; returns the total."""
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
    # A cancelled order stays cancelled, so what the audit found is still true.
    for start in range(0, len(order_ids), _BATCH):
        with transaction.atomic(durable=True):
            holds.release(
                order_ids=order_ids[start : start + _BATCH], reason=f"order cancelled; found by the audit of {by}"
            )
    return f"{_number(len(order_ids), 'cancelled order')} released: {_listed(order_ids)}"


def _listed(order_ids: list[UUID]) -> str:
    more = f" and {len(order_ids) - 5:,} more" if len(order_ids) > 5 else ""
    return ", ".join(map(str, order_ids[:5])) + more


# -- Stock pools ------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class _PoolTotals:
    """The units of a pool that are held and sold, by three sources."""

    pool: str
    row: tuple[int, int]
    ledger: tuple[int, int]
    orders: tuple[int, int]
    """The truth: an order has its units because its hold says so."""

    @property
    def is_wrong(self) -> bool:
        """Whether the sources disagree."""
        return not self.row == self.ledger == self.orders


_POOLS = """
SELECT s.bin, s.held, s.sold, coalesce(n.held, 0), coalesce(n.sold, 0), coalesce(u.held, 0), coalesce(u.sold, 0)
FROM inventory_stock s LEFT JOIN (
    SELECT bin, sum(held) AS held, sum(sold) AS sold FROM inventory_movement GROUP BY bin
) AS n ON n.bin = s.bin LEFT JOIN (
    SELECT h.bin, sum(CASE WHEN r.state = 'held' THEN h.quantity - h.given_back ELSE 0 END) AS held,
        sum(CASE WHEN r.state = 'sold' THEN h.quantity - h.given_back ELSE 0 END) AS sold
    FROM inventory_hold h JOIN inventory_reservation r ON r.order_id = h.reservation_id
    WHERE r.state IN ('held', 'sold') GROUP BY h.bin
) AS u ON u.bin = s.bin
WHERE %(pool)s IS NULL OR s.bin = %(pool)s ORDER BY s.bin
"""


def _wrong_pools(only: str | None = None) -> Iterator[_PoolTotals]:
    with connection.cursor() as cursor:
        cursor.execute(_POOLS, {"pool": only})
        rows = cursor.fetchall()
    for name, held, sold, ledger_held, ledger_sold, orders_held, orders_sold in rows:
        totals = _PoolTotals(
            pool=name,
            row=(held, sold),
            ledger=(int(ledger_held), int(ledger_sold)),
            orders=(int(orders_held), int(orders_sold)),
        )
        if totals.is_wrong:
            yield totals


def _correction(totals: _PoolTotals, by: str) -> RepairAction:
    return RepairAction(
        plan=f"set pool {totals.pool} to what its orders have: {_pair(totals.orders)}, instead of {_pair(totals.row)}",
        carry_out=lambda: _correct(totals.pool, by),
    )


def _correct(name: str, by: str) -> str:
    try:
        with transaction.atomic(durable=True):
            return _correct_locked(name, by)
    except IntegrityError:
        return f"pool {name} left alone: its orders have more units than it received; count them on the shelf"


def _correct_locked(name: str, by: str) -> str:
    """A hold and its pool always change in the same transaction, so the pool's lock keeps both still."""
    ledger.lock([name])
    totals = next(_wrong_pools(name), None)
    if totals is None:
        return f"pool {name} is right by now"
    if totals.row != totals.ledger:
        # The row was changed without a movement. It is set to the ledger first, so that one correction brings both to
        # what the orders have.
        held, sold = totals.ledger
        Stock.objects.filter(bin=name).update(held=held, sold=sold)
    (held, sold), (had_held, had_sold) = totals.orders, totals.ledger
    reason = f"audit: orders have {_pair(totals.orders)}, the stock row said {_pair(totals.row)}"
    entry = MovementEntry(
        pool=name, kind=Kind.CORRECTED, held=held - had_held, sold=sold - had_sold, by=by, reason=reason
    )
    ledger.write([entry])
    return f"pool {name} corrected: {_pair(totals.orders)}, instead of {_pair(totals.row)}"


def _pair(units: tuple[int, int]) -> str:
    return f"{units[0]:,} held and {units[1]:,} sold"


def _rebuild_counters(by: str) -> str:
    try:
        done = counter_sync.rebuild(f"the audit of {by} asked for it")
    except (redis.RedisError, OSError) as error:
        return f"stock counters could not be rebuilt: Redis does not answer ({error})"
    return f"stock counters: {done or 'another process is rebuilding them right now'}"
