"""What books cost and did before, as analytics was told: a batch of events at a time. Needs a transaction.

All of it follows from the events and their times, so it can be rebuilt from the log.
"""

from collections.abc import Sequence

from django.db import connection

from events import catalogue
from kafka_bridge.consuming.registry import Dated
from shop.analytics import turns

_NOTE = """
INSERT INTO shop_bookprice AS known (sku, title, price_minor, was_price_minor, is_listed, changes, changed_at)
VALUES (%s, %s, %s, %s, %s, 1, %s)
ON CONFLICT (sku) DO UPDATE SET
    title = excluded.title, price_minor = excluded.price_minor, is_listed = excluded.is_listed,
    was_price_minor = coalesce(excluded.was_price_minor, known.was_price_minor),
    changes = known.changes + 1, changed_at = excluded.changed_at
"""


def note(*, facts: Sequence[Dated[catalogue.BookUpdated]]) -> None:
    """Note these changes, one after the other: there are few, and those of a book build upon each other."""
    turns.take()
    with connection.cursor() as cursor:
        for event, time in facts:
            cursor.execute(
                _NOTE, [event.sku, event.title, event.price_minor, event.was_price_minor, event.is_listed, time]
            )
