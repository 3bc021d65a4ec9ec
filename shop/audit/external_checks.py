"""Invariants that are no single statement: the gate, of which PostgreSQL knows only half, and the dead letters.

Redis is never waited for long, and without it the rest of the audit goes on.
"""

import time
from collections.abc import Iterable
from dataclasses import replace

import redis

from inventory import admission, counter_sync
from kafka_bridge.dead_letters import letter_store
from shop.audit.invariants import Rule
from shop.audit.report import EXAMPLES, Finding

GATE_READ = Rule(
    name="the gate can be read",
    sentence="Redis answers.",
    remedy="See whether Redis runs. Until it does PostgreSQL decides alone: slower, and never wrong.",
)
GATE_SUM = Rule(
    name="gate + held + sold = received",
    sentence="What the gate offers of a bin are the units received that are neither held nor sold.",
    remedy="manage.py audit --repair makes the gate anew from PostgreSQL; otherwise the timekeeper does, so see "
    "whether it runs.",
)
GATE_FREE = Rule(
    name="the gate lets orders go",
    sentence="The gate keeps units back only for orders that are being decided.",
    remedy="The timekeeper lets go of orders that never came again, so see whether it runs; manage.py audit --repair "
    "makes the gate anew from PostgreSQL.",
)
DEAD_LETTERS = Rule(
    name="dead letters",
    sentence="Every message could be handled; none was put aside for a person.",
    remedy="Read them in the admin or with manage.py dead_letters list --kinds, mend the cause, and send them again.",
)
RULES = (GATE_READ, GATE_SUM, GATE_FREE, DEAD_LETTERS)
# A difference that is still there after so many looks is one that nobody is about to mend.
_LOOKS, _LOOK_AGAIN_SECONDS = 5, 0.5
# What is admitted and not written down after this is the timekeeper's business; so long it may take for it.
_TIDIED_WITHIN_SECONDS = 5.0


# -- The gate -----------------------------------------------------------------------------------------
def gate_findings(*, grace_seconds: float) -> list[Finding]:
    """Compare the gate with PostgreSQL as it is now. Not within a snapshot, which would be older than the gate."""
    try:
        wrong = [_words(difference) for difference in _lasting_differences()]
        late = _kept_back(admission.read(), grace_seconds)
    except (redis.RedisError, OSError) as error:
        trouble = f"Redis does not answer ({type(error).__name__}: {error}); PostgreSQL decides alone"
        note = "not compared, because the gate cannot be read"
        return [finding(GATE_READ, [trouble]), finding(GATE_SUM, note=note), finding(GATE_FREE, note=note)]
    return [finding(GATE_READ), finding(GATE_SUM, wrong), finding(GATE_FREE, late)]


def _lasting_differences() -> list[counter_sync.CounterDifference]:
    """Differences that are the same at every look: what was just written is told within moments."""
    found = counter_sync.differences()
    for _ in range(_LOOKS - 1):
        if not found:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
        again = set(counter_sync.differences())
        found = [difference for difference in found if difference in again]
    return found


def _words(difference: counter_sync.CounterDifference) -> str:
    told = "of which the gate knows nothing" if difference.gate is None else f"but the gate says {difference.gate}"
    return f"bin {difference.bin}: {difference.postgresql} free, {told}"


def _kept_back(mirror: admission.CounterMirror, grace_seconds: float) -> list[str]:
    """Orders that were admitted long ago and are not settled; units that are kept back while there is no such order."""
    limit = time.time() - grace_seconds - _TIDIED_WITHIN_SECONDS
    late = [
        f"order {order_id}: admitted, and not decided since" for order_id, at in mirror.admitted.items() if at < limit
    ]
    lost = [f"bin {name}: {units} units are kept back for no order" for name, units in mirror.taken.items() if units]
    return late if mirror.admitted else lost


def finding(rule: Rule, examples: Iterable[str] = (), *, note: str = "") -> Finding:
    """What became of a rule: the examples are whatever breaks it."""
    found = sorted(examples)
    return Finding(
        name=rule.name, sentence=rule.sentence, count=len(found), examples=tuple(found[:EXAMPLES]), note=note
    )


# -- The dead letters -----------------------------------------------------------------------------------
def dead_letter_finding() -> Finding:
    """Count what waits for a person, by kind. What the group `dead_letters` has not stored yet is in its lag."""
    kinds = letter_store.error_kinds()
    found = finding(DEAD_LETTERS, (f"{kind.count} of {', '.join(kind.groups)}: {kind.error}" for kind in kinds))
    return replace(found, count=sum(kind.count for kind in kinds))
