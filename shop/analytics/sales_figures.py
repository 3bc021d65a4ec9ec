"""The sales figures: what the analytics group counts, a batch of events at a time. Needs a transaction.

An event counts for the day on which it was published, by the database's clock and in UTC, not for the day on which it
is handled. So figures that are rebuilt from the log are the same, and so are those after an outage.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

from django.db import connection

from events import catalogue
from events.base import OrderEvent
from kafka_bridge.consuming.registry import Dated
from shop.analytics import turns

_COUNTS = ("confirmed", "cancelled", "shipped", "delivered", "units", "revenue_minor")
_ADD_TO_DAYS = f"""
INSERT INTO shop_dailysales AS s (day, {", ".join(_COUNTS)})
SELECT * FROM unnest(%s::date[], %s::int[], %s::int[], %s::int[], %s::int[], %s::int[], %s::bigint[])
ON CONFLICT (day) DO UPDATE SET {", ".join(f"{name} = s.{name} + excluded.{name}" for name in _COUNTS)}
"""  # noqa: S608 - made of the constants above
_ADD_TO_BOOKS = """
INSERT INTO shop_booksales AS s (sku, units, revenue_minor)
SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[])
ON CONFLICT (sku) DO UPDATE
SET units = s.units + excluded.units, revenue_minor = s.revenue_minor + excluded.revenue_minor
"""
F = TypeVar("F", bound=OrderEvent)
Days = dict[date, Counter[str]]


def count_confirmed(*, facts: Sequence[Dated[catalogue.OrderConfirmed]]) -> None:
    """Count these orders as sales."""
    _count(((time, line) for fact, time in facts for line in fact.lines), sign=1, days=_orders("confirmed", facts))


def count_reduced(*, facts: Sequence[Dated[catalogue.OrderReduced]]) -> None:
    """Subtract these copies from the sales."""
    _count(((time, line) for fact, time in facts for line in fact.cancelled_now), sign=-1, days=_orders("", facts))


def count_cancelled(*, facts: Sequence[Dated[catalogue.OrderCancelled]]) -> None:
    """Count these orders as cancelled, and subtract what was counted for them and not subtracted before."""
    days = _orders("cancelled", facts)
    confirmed = [(fact, time) for fact, time in facts if fact.was_confirmed]
    for fact, time in confirmed:
        if not fact.lines:  # an event of an earlier version of the shop tells its total and no lines
            days[_day(time)]["revenue_minor"] -= fact.total_minor
    _count(((time, line) for fact, time in confirmed for line in fact.lines), sign=-1, days=days)


def count_shipped(*, facts: Sequence[Dated[catalogue.OrderShipped]]) -> None:
    """Count these orders as shipped."""
    _add_to_days(_orders("shipped", facts))


def count_delivered(*, facts: Sequence[Dated[catalogue.OrderDelivered]]) -> None:
    """Count these orders as delivered."""
    _add_to_days(_orders("delivered", facts))


def _day(time: datetime) -> date:
    return time.astimezone(UTC).date()


def _orders(count: str, facts: Iterable[Dated[F]]) -> Days:
    """The number of orders of each day, under this name; without a name, only the days."""
    days: Days = defaultdict(Counter)
    for _, time in facts:
        days[_day(time)][count] += 1
    return days


def _count(lines: Iterable[tuple[datetime, catalogue.Line]], *, sign: int, days: Days) -> None:
    """Add these units and their revenue to the days and the books; with a sign of -1, subtract them.

    Revenue is what buyers paid for the books, discounts taken off; what they paid for shipping is no part of it.
    """
    units: Counter[str] = Counter()
    revenue: Counter[str] = Counter()
    for time, line in lines:
        number, amount_minor = sign * line.quantity, sign * line.paid_minor
        units[line.sku] += number
        revenue[line.sku] += amount_minor
        days[_day(time)].update(units=number, revenue_minor=amount_minor)
    _add_to_days(days)
    skus = sorted(units)
    if skus:
        with connection.cursor() as cursor:
            cursor.execute(_ADD_TO_BOOKS, [skus, [units[sku] for sku in skus], [revenue[sku] for sku in skus]])


def _add_to_days(days: Days) -> None:
    turns.take()
    ordered = sorted(days)
    with connection.cursor() as cursor:
        cursor.execute(_ADD_TO_DAYS, [ordered, *([days[day][name] for day in ordered] for name in _COUNTS)])
