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
    units: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    for line in (line for fact in facts for line in fact.lines):
        units[line.sku] += line.quantity
        revenue[line.sku] += line.quantity * line.unit_price_minor
    skus = sorted(units)  # one sequence for everybody, so that two batches never deadlock
    _add_to_day(confirmed=len(facts), units=units.total(), revenue=revenue.total())
    with connection.cursor() as cursor:
        cursor.execute(_ADD_TO_BOOKS, [skus, [units[sku] for sku in skus], [revenue[sku] for sku in skus]])


def count_cancelled(*, facts: Sequence[catalogue.OrderCancelled]) -> None:
    """These orders ended without a sale; revenue that was counted for them is taken back."""
    lost = sum(fact.total_minor for fact in facts if fact.was_confirmed)
    _add_to_day(cancelled=len(facts), revenue=-lost)


def count_shipped(*, number: int) -> None:
    """So many parcels left."""
    _add_to_day(shipped=number)


def count_delivered(*, number: int) -> None:
    """So many parcels arrived."""
    _add_to_day(delivered=number)


def _add_to_day(**counts: int) -> None:
    names = ("confirmed", "cancelled", "shipped", "delivered", "units", "revenue")
    with connection.cursor() as cursor:
        cursor.execute(_ADD_TO_DAY, {name: counts.get(name, 0) for name in names})
