"""What must be so, read from PostgreSQL in one snapshot. What only Redis and Kafka know is in `external_checks.py`.

# Note [What is under way is no violation]
Each app writes its part in a transaction of its own, and hears of the others' parts by events. So between apps the
books differ for as long as an event takes. Where an invariant spans apps it counts only what has been quiet for
`grace` seconds: nothing happened to the order for that long, and it is still wrong. Within one app it is exact at any
moment, whatever the grace.

What only a moment of time makes wrong (a deadline, an expiry, the end of a sale) the timekeeper puts right when it next
comes by; so such a moment must have passed `CLOCK_SECONDS` ago, also in a shop at rest.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from shop.audit.report import EXAMPLES, Finding


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that must be so."""

    name: str
    sentence: str
    """The same for people."""
    remedy: str
    """What is done about it where it is not: what `--repair` does, or what a person has to do."""


# The slowest of the timekeeper's jobs that end something comes by every five seconds.
CLOCK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Invariant(Rule):
    """A rule of which PostgreSQL knows everything."""

    sql: str
    """One column, `example`: a line for everything that breaks it. `%(grace)s`, `%(clock)s` and
    `%(unknown)s` (so long may the gateway leave a call unanswered) are in seconds."""


# All are counted, and the first few are given.
_READ = """
WITH found AS MATERIALIZED ({sql})
SELECT (SELECT count(*) FROM found), ARRAY(SELECT example FROM found ORDER BY example LIMIT %(examples)s)
"""


def read(invariants: Iterable[Invariant], *, grace_seconds: float, limit_seconds: float | None) -> Iterator[Finding]:
    """Look into each invariant in turn, in the transaction that is under way.

    Raises:
        django.db.OperationalError: they take longer than the limit, all together.
    """
    until = None if limit_seconds is None else time.monotonic() + limit_seconds
    for invariant in invariants:
        with connection.cursor() as cursor:
            if until is not None:
                left = max(1, round((until - time.monotonic()) * 1000))
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{left}ms"])
            cursor.execute(
                _READ.format(sql=invariant.sql),
                {
                    "grace": grace_seconds,
                    "clock": CLOCK_SECONDS,
                    "unknown": settings.PAYMENT_UNKNOWN_SECONDS,
                    "examples": EXAMPLES,
                },
            )
            count, examples = cursor.fetchone()
        yield Finding(name=invariant.name, sentence=invariant.sentence, count=count, examples=tuple(examples))
