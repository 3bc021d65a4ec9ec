"""From the look at a book to the paid order, by the hour: counted a batch at a time. Needs a transaction.

An event counts for the hour of its own time, in UTC. So figures that are rebuilt from the log are the same, and so are
those after an outage. Of an order each book counts once, however many copies it is; what is cancelled later was ordered
all the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from django.db import connection

from events import catalogue
from kafka_bridge.consuming.registry import Dated
from shop.analytics import turns

_COUNTS = ("seen", "carted", "ordered", "paid", "units")
_ADD_TO_BOOKS = f"""
INSERT INTO shop_bookhour AS h (hour, sku, {", ".join(_COUNTS)})
SELECT * FROM unnest(%s::timestamptz[], %s::text[], {", ".join(["%s::bigint[]"] * len(_COUNTS))})
ON CONFLICT (hour, sku) DO UPDATE SET {", ".join(f"{name} = h.{name} + excluded.{name}" for name in _COUNTS)}
"""  # noqa: S608 - made of the constants above
_ADD_TO_SEARCHES = """
INSERT INTO shop_searchhour AS h (hour, words, times, without_result)
SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::bigint[], %s::bigint[])
ON CONFLICT (hour, words) DO UPDATE
SET times = h.times + excluded.times, without_result = h.without_result + excluded.without_result
"""


def count_views(*, facts: Sequence[Dated[catalogue.PageViewed]]) -> None:
    """Looks at the pages of books."""
    _add(((time, fact.sku, {"seen": fact.views}) for fact, time in facts if fact.sku))


def count_carts(*, facts: Sequence[Dated[catalogue.CartChanged]]) -> None:
    """Books put into carts that did not have them."""
    _add(((time, fact.sku, {"carted": fact.times}) for fact, time in facts if fact.change == "added"))


def count_ordered(*, facts: Sequence[Dated[catalogue.OrderCreated]]) -> None:
    """Books in orders that were placed."""
    _add((time, sku, {"ordered": 1}) for fact, time in facts for sku in {line.sku for line in fact.lines})


def count_paid(*, facts: Sequence[Dated[catalogue.OrderConfirmed]]) -> None:
    """Books in orders that were confirmed, and their copies."""
    _add((time, sku, {"paid": 1, "units": units}) for fact, time in facts for sku, units in _units(fact).items())


def count_searches(*, facts: Sequence[Dated[catalogue.SearchMade]]) -> None:
    """Words that were searched for, and how often nothing was found."""
    found: dict[tuple[datetime, str], list[int]] = defaultdict(lambda: [0, 0])
    for fact, time in facts:
        counts = found[_hour(time), fact.words]
        counts[0] += fact.times
        counts[1] += 0 if fact.found else fact.times
    _execute(_ADD_TO_SEARCHES, {key: tuple(counts) for key, counts in found.items()})


def _hour(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _units(fact: catalogue.OrderConfirmed) -> Counter[str]:
    units: Counter[str] = Counter()
    for line in fact.lines:
        units[line.sku] += line.quantity
    return units


def _add(counted: Iterable[tuple[datetime, str, dict[str, int]]]) -> None:
    found: dict[tuple[datetime, str], Counter[str]] = defaultdict(Counter)
    for time, sku, counts in counted:
        found[_hour(time), sku].update(counts)
    _execute(_ADD_TO_BOOKS, {key: tuple(sums[name] for name in _COUNTS) for key, sums in found.items()})


def _execute(statement: str, counted: Mapping[tuple[datetime, str], tuple[int, ...]]) -> None:
    """Add these counts, by hour and what else the row is about."""
    if not counted:
        return
    turns.take()
    rows = [(*key, *counts) for key, counts in sorted(counted.items())]
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(column) for column in zip(*rows, strict=True)])
