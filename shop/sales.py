"""The sales figures: what the analytics group counts, a batch at a time. Needs a transaction under way."""

from collections import Counter
from collections.abc import Sequence

from django.db import connection

from kafka_bridge import catalogue

_ADD_TO_DAY = """
INSERT INTO shop_dailysales AS s (day, confirmed, cancelled, shipped, delivered, units, revenue_minor)
VALUES (current_date, %(confirmed)s, %(cancelled)s, %(shipped)s, %(delivered)s, %(units)s, %(revenue)s)
ON CONFLICT (day) DO UPDATE SET
    confirmed = s.confirmed + excluded.confirmed, cancelled = s.cancelled + excluded.cancelled,
    shipped = s.shipped + excluded.shipped, delivered = s.delivered + excluded.delivered,
    units = s.units + excluded.units, revenue_minor = s.revenue_minor + excluded.revenue_minor
"""
_ADD_TO_BOOKS = """
INSERT INTO shop_booksales AS s (sku, units, revenue_minor)
SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[])
ON CONFLICT (sku) DO UPDATE
SET units = s.units + excluded.units, revenue_minor = s.revenue_minor + excluded.revenue_minor
"""


def count_confirmed(*, facts: Sequence[catalogue.OrderConfirmed]) -> None:
    """These orders are sales."""
    _count([line for fact in facts for line in fact.lines], sign=1, confirmed=len(facts))


def count_reduced(*, facts: Sequence[catalogue.OrderReduced]) -> None:
    """These copies were sales and are none any more."""
    _count([line for fact in facts for line in fact.cancelled_now], sign=-1)


def count_cancelled(*, facts: Sequence[catalogue.OrderCancelled]) -> None:
    """These orders ended without a sale; what was counted for them, and not taken back before, is taken back."""
    confirmed = [fact for fact in facts if fact.was_confirmed]
    lines = [line for fact in confirmed for line in fact.lines]
    # An event of an earlier version of the shop tells its total and no lines.
    untold = sum(fact.total_minor for fact in confirmed if not fact.lines)
    _count(lines, sign=-1, cancelled=len(facts), lost_minor=untold)


def count_shipped(*, number: int) -> None:
    """So many parcels left."""
    _add_to_day(shipped=number)


def count_delivered(*, number: int) -> None:
    """So many parcels arrived."""
    _add_to_day(delivered=number)


def _count(lines: Sequence[catalogue.Line], *, sign: int, lost_minor: int = 0, **orders: int) -> None:
    """Add these units and their revenue (or, with a sign of -1, take them off), of the day and of each book."""
    units: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += sign * line.quantity
        revenue[line.sku] += sign * line.quantity * line.unit_price_minor
    _add_to_day(units=units.total(), revenue=revenue.total() - lost_minor, **orders)
    skus = sorted(units)  # one sequence for everybody, so that two batches never deadlock
    if skus:
        with connection.cursor() as cursor:
            cursor.execute(_ADD_TO_BOOKS, [skus, [units[sku] for sku in skus], [revenue[sku] for sku in skus]])


def _add_to_day(**counts: int) -> None:
    names = ("confirmed", "cancelled", "shipped", "delivered", "units", "revenue")
    with connection.cursor() as cursor:
        cursor.execute(_ADD_TO_DAY, {name: counts.get(name, 0) for name in names})
