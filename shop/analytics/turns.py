"""One batch of analytics after the other.

# Note [Taking turns]
A batch of many kinds of events writes to several tables, a handler at a time, in the sequence in which the events came.
So two members could each hold rows that the other one wants next, and PostgreSQL would have to end one of them after a
second. Nearly every batch changes the row of today, so they wait for each other anyway: now at the beginning. Who
rebuilds the tables beside those in use (a read-only transaction) has locks of its own, and does not wait here.
"""

from django.db import connection

_LOCK = 0x616E616C79  # any number will do, so long as nobody else in this database uses it
_TAKE = "SELECT pg_advisory_xact_lock(%s) WHERE current_setting('transaction_read_only') = 'off'"


def take() -> None:
    """Wait until no other transaction of analytics is writing; it is this one's turn until it ends."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [_LOCK])
