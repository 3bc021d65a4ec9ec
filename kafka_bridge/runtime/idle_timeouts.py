"""PostgreSQL sessions of processes that may stop in the middle of something.

# Note [Frozen in a transaction]
A consumer that is frozen, or cut off without a word, while a transaction of its own is open keeps the locks of that
transaction: those of its inbox rows, for one. The member that takes over its partitions gets the same messages, waits
for those locks, and cannot even give partitions back meanwhile. So PostgreSQL ends the session of a consumer that has a
transaction open and asks nothing for `consumer_silent_seconds`. Nothing is lost by that: what the consumer did there
is undone, and if it wakes up it finds PostgreSQL gone, and begins the batch again.
"""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from kafka_bridge.runtime import clients


def end_when_silent() -> None:
    """For all connections that this process opens from now on; see Note [Frozen in a transaction]."""
    connection_created.connect(_limit, dispatch_uid="kafka_bridge.runtime.idle_timeouts")


def _limit(connection: BaseDatabaseWrapper, **_: Any) -> None:
    milliseconds = int(clients.conf().consumer_silent_seconds * 1000)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [str(milliseconds)])
