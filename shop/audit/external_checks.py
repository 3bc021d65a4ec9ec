"""Invariants that are more than one SQL statement: the Redis stock counters, and the messages that
wait for a person.

Redis is given little time to answer, and without it the rest of the audit continues.
"""

import time
from collections.abc import Iterable
from dataclasses import replace

import redis

from inventory.redis_counters import admission, counter_sync
from kafka_bridge.believing import refusals
from kafka_bridge.dead_letters import error_kinds
from shop.audit.invariants import Rule
from shop.audit.report import EXAMPLES, Finding

COUNTERS_READABLE = Rule(
    name="stock counters can be read",
    sentence="Redis answers.",
    remedy="Check that Redis is running. Until it is, PostgreSQL decides alone: slower, but never wrong.",
)
COUNTERS_SUM = Rule(
    name="counter + held + sold = received",
    sentence="The Redis counter of a stock pool is the number of units received that are neither held nor sold.",
    remedy="manage.py audit --repair rebuilds the counters from PostgreSQL. The timekeeper does it as well, so check "
    "that it is running.",
)
COUNTERS_SETTLED = Rule(
    name="stock counters settle orders",
    sentence="Redis reserves units only for orders that are being decided.",
    remedy="The timekeeper settles orders that were never delivered again, so check that it is running. manage.py "
    "audit --repair rebuilds the counters from PostgreSQL.",
)
DEAD_LETTERS = Rule(
    name="dead letters",
    sentence="Every message was handled; none is waiting for a person.",
    remedy="Read them in the admin or with manage.py dead_letters list --kinds, fix the cause, and redrive them.",
)
REFUSED = Rule(
    name="refused messages",
    sentence="Every message was stated by the app that owns its topic.",
    remedy="Read the refused messages in the admin: they moved nothing, but somebody could write them to Kafka.",
)
RULES = (COUNTERS_READABLE, COUNTERS_SUM, COUNTERS_SETTLED, DEAD_LETTERS, REFUSED)
# A difference that is the same this many times in a row is not an update on its way, and nothing that a Redis which
# did not answer once has left behind: it is asked again after two seconds, and the timekeeper compares every second.
_ATTEMPTS, _RETRY_SECONDS = 10, 0.5
# Admitted orders older than this are left to the timekeeper, which gets so long to settle them.
_SETTLED_WITHIN_SECONDS = 5.0


# -- The stock counters -----------------------------------------------------------------------------------
def counter_findings(*, grace_seconds: float) -> list[Finding]:
    """Compare the counters with PostgreSQL as it is now. Not in a snapshot, which would be older than the counters."""
    try:
        wrong = [_describe(difference) for difference in _lasting_differences()]
        late = _unsettled(admission.read_mirror(), grace_seconds)
    except (redis.RedisError, OSError) as error:
        trouble = f"Redis does not answer ({type(error).__name__}: {error}); PostgreSQL decides alone"
        note = "not compared, because the stock counters cannot be read"
        return [
            finding(COUNTERS_READABLE, [trouble]),
            finding(COUNTERS_SUM, note=note),
            finding(COUNTERS_SETTLED, note=note),
        ]
    return [finding(COUNTERS_READABLE), finding(COUNTERS_SUM, wrong), finding(COUNTERS_SETTLED, late)]


def _lasting_differences() -> list[counter_sync.CounterDifference]:
    """Differences that stay the same: an update that is on its way arrives within moments."""
    found = counter_sync.differences()
    for _ in range(_ATTEMPTS - 1):
        if not found:
            break
        time.sleep(_RETRY_SECONDS)
        again = set(counter_sync.differences())
        found = [difference for difference in found if difference in again]
    return found


def _describe(difference: counter_sync.CounterDifference) -> str:
    in_redis = "but Redis has no counter" if difference.redis is None else f"but Redis has {difference.redis}"
    return f"pool {difference.pool}: {difference.postgresql} free, {in_redis}"


def _unsettled(mirror: admission.CounterMirror, grace_seconds: float) -> list[str]:
    """Orders that were admitted long ago and are not settled; without any, units that are reserved for no order."""
    limit = time.time() - grace_seconds - _SETTLED_WITHIN_SECONDS
    late = [
        f"order {order_id}: admitted, and not decided since" for order_id, at in mirror.admitted.items() if at < limit
    ]
    lost = [f"pool {name}: {units} units are reserved for no order" for name, units in mirror.taken.items() if units]
    return late if mirror.admitted else lost


def finding(rule: Rule, examples: Iterable[str] = (), *, note: str = "") -> Finding:
    """The finding for a rule; `examples` are the violations."""
    found = sorted(examples)
    return Finding(
        name=rule.name, sentence=rule.sentence, count=len(found), examples=tuple(found[:EXAMPLES]), note=note
    )


# -- Messages that wait for a person ---------------------------------------------------------------------
def dead_letter_finding() -> Finding:
    """Count what waits for a person, by kind. What the group `dead_letters` has not stored yet is in its lag."""
    kinds = error_kinds.waiting()
    found = finding(DEAD_LETTERS, (f"{kind.count} of {', '.join(kind.groups)}: {kind.error}" for kind in kinds))
    return replace(found, count=sum(kind.count for kind in kinds))


def refused_finding() -> Finding:
    """Messages that were not believed, and that nobody has looked at yet."""
    rows = refusals.open_messages().order_by("id").values_list("group", "type", "key", "why")
    found = finding(REFUSED, (f"{group}: {kind} of {key}: {why}" for group, kind, key, why in rows[:EXAMPLES]))
    return replace(found, count=refusals.open_messages()[: refusals.OPEN_AT_MOST].count())
