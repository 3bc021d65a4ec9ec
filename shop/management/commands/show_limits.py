"""`manage.py show_limits`: how often visitors may do what, and how many requests were refused."""

from typing import Any

import redis
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Column, Table

from shop.limits import limits


class Command(BaseCommand):
    """The table of limits, from `shop/limits/limits.py`, with the refusals of the last days."""

    help = "Show the limits on what visitors do, and how many requests each refused today and in the last week."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the table; without Redis, without the refusals."""
        try:
            today, week = limits.refusals(days=1), limits.refusals(days=7)
        except (redis.RedisError, OSError):
            today = week = {}
            self.stderr.write("Redis is unavailable: refusals are not known.")
        name = Column("limit", no_wrap=True)
        table = Table(name, "by", "rate", "without Redis", "refused today", "in 7 days", title="Limits")
        for limit in limits.LIMITS:
            numbers = (str(counts.get(limit.name, "?")) for counts in (today, week))
            table.add_row(limit.name, limit.by, limit.rate, limit.without_redis.value, *numbers)
        Console(file=self.stdout).print(table)  # type: ignore[arg-type]  # it writes text, which is all that is asked
