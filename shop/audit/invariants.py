"""What an invariant is, and how its SQL is run. Invariants outside PostgreSQL are in `external_checks.py`.

# Note [What is under way is no violation]
Each app writes its part in its own transaction, and learns of the other parts by events. So between apps the books
differ for as long as an event takes. An invariant that spans apps therefore counts only orders to which nothing has
happened for `grace` seconds. Within one app it is exact at any moment, whatever the grace.

Some rows become wrong just because time passes (a deadline, an expiry, the end of a sale), until a periodic job puts
them right. So that moment must be `CLOCK_SECONDS` ago, even in a shop at rest.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

from shop.audit.report import EXAMPLES, Finding


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that must always hold."""

    name: str
    sentence: str
    """The rule as a sentence."""
    remedy: str
    """What to do if it is broken: what `--repair` does, or what a person has to do."""


# The slowest periodic job that ends something runs every five seconds; twice that.
CLOCK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Invariant(Rule):
    """A rule that one SQL statement can check."""

    sql: str
    """One column, `example`: a row for each violation. `%(grace)s`, `%(clock)s` and `%(unknown)s` (how long the
    gateway may leave a call unanswered) are in seconds."""
    scoped_sql: str = ""
    """What is asked instead where only some rows are looked at, if that is not the same."""


# Counts all violations, and returns the first few.
_READ = """
{scope} found AS MATERIALIZED ({sql})
SELECT (SELECT count(*) FROM found), ARRAY(SELECT example FROM found ORDER BY example LIMIT %(examples)s)
"""


def check(
    invariants: Iterable[Invariant],
    *,
    grace_seconds: float,
    limit_seconds: float | None,
    scope: str = "WITH",
    values: Mapping[str, Any] | None = None,
) -> Iterator[Finding]:
    """Check each invariant in turn, in the current transaction.

    `scope` shadows tables by some of their rows: the beginning of a WITH clause, for which `values` has the names.

    Raises:
        django.db.OperationalError: they take longer than the limit in total.
    """
    until = None if limit_seconds is None else time.monotonic() + limit_seconds
    for invariant in invariants:
        with connection.cursor() as cursor:
            if until is not None:
                left = max(1, round((until - time.monotonic()) * 1000))
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{left}ms"])
            cursor.execute(
                _READ.format(scope=scope, sql=(scope != "WITH" and invariant.scoped_sql) or invariant.sql),
                {
                    **(values or {}),
                    "grace": grace_seconds,
                    "clock": CLOCK_SECONDS,
                    "unknown": settings.PAYMENT_UNKNOWN_SECONDS,
                    "examples": EXAMPLES,
                },
            )
            count, examples = cursor.fetchone()
        yield Finding(name=invariant.name, sentence=invariant.sentence, count=count, examples=tuple(examples))
