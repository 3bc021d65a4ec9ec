"""Invariants of which PostgreSQL knows only half: the gate in Redis, and the dead letters in Kafka.

Neither is ever waited for long, and without them the rest of the audit goes on.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import replace

import redis
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from inventory import gate, upkeep
from kafka_bridge import clients, topics
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
    remedy="Read them (their headers say what went wrong), mend the cause, and send them again. Kafka keeps them for "
    "30 days.",
)
RULES = (GATE_READ, GATE_SUM, GATE_FREE, DEAD_LETTERS)
# A difference that is still there after so many looks is one that nobody is about to mend.
_LOOKS, _LOOK_AGAIN_SECONDS = 5, 0.5
# What is admitted and not written down after this is the timekeeper's business; so long it may take for it.
_TIDIED_WITHIN_SECONDS = 5.0
_KAFKA_SECONDS = 3.0


# -- The gate -----------------------------------------------------------------------------------------
def gate_findings(*, grace_seconds: float) -> list[Finding]:
    """Compare the gate with PostgreSQL as it is now. Not within a snapshot, which would be older than the gate."""
    try:
        wrong = [_words(difference) for difference in _lasting_differences()]
        late = _kept_back(gate.read(), grace_seconds)
    except (redis.RedisError, OSError) as error:
        trouble = f"Redis does not answer ({type(error).__name__}: {error}); PostgreSQL decides alone"
        note = "not compared, because the gate cannot be read"
        return [finding(GATE_READ, [trouble]), finding(GATE_SUM, note=note), finding(GATE_FREE, note=note)]
    return [finding(GATE_READ), finding(GATE_SUM, wrong), finding(GATE_FREE, late)]


def _lasting_differences() -> list[upkeep.Difference]:
    """Differences that are the same at every look: what was just written is told within moments."""
    found = upkeep.differences()
    for _ in range(_LOOKS - 1):
        if not found:
            break
        time.sleep(_LOOK_AGAIN_SECONDS)
        again = set(upkeep.differences())
        found = [difference for difference in found if difference in again]
    return found


def _words(difference: upkeep.Difference) -> str:
    told = "of which the gate knows nothing" if difference.gate is None else f"but the gate says {difference.gate}"
    return f"bin {difference.bin}: {difference.postgresql} free, {told}"


def _kept_back(mirror: gate.Mirror, grace_seconds: float) -> list[str]:
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
    """Count what lies in the dead letter topics, within `_KAFKA_SECONDS`; a note where Kafka does not answer."""
    try:
        numbers = _Asking().count()
    except (KafkaException, TimeoutError) as error:
        known = error.args and isinstance(error.args[0], KafkaError)
        reason = error.args[0].str() if known else str(error) or "no answer in time"
        return finding(DEAD_LETTERS, note=f"Kafka could not be asked: {reason}")
    found = finding(DEAD_LETTERS, (f"{topic}: {number}" for topic, number in numbers.items() if number))
    return replace(found, count=sum(numbers.values()))


class _Asking:
    """One round of questions to Kafka, all of which have to be answered within the time."""

    def __init__(self) -> None:
        self._until = time.monotonic() + _KAFKA_SECONDS
        # The client must not know us: in a circle with it we would never be collected, nor would its threads.
        self._all_down = all_down = threading.Event()

        def note(error: KafkaError) -> None:
            if error.code() == KafkaError._ALL_BROKERS_DOWN:
                all_down.set()

        self._admin = AdminClient(clients.common() | {"error_cb": note, "log_level": 0})

    def count(self) -> dict[str, int]:
        """Messages by dead letter topic.

        Raises:
            KafkaException, TimeoutError: no broker answered in time.
        """
        present = self._topics()
        wanted = [clients.topic_name(topic.name) for topic in topics.wanted() if topic.name.endswith(".dlq")]
        places = [TopicPartition(name, number) for name in wanted for number in present.get(name, ())]
        latest, earliest = OffsetSpec.latest(), OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        ends, starts = self._offsets(places, latest), self._offsets(places, earliest)
        numbers = dict.fromkeys(wanted, 0)
        for place in places:
            key = place.topic, place.partition
            numbers[place.topic] += max(0, ends[key] - starts[key])
        return numbers

    def _topics(self) -> dict[str, list[int]]:
        """Topics with their partitions; given up as soon as it is certain that no broker listens."""
        patience = 0.1
        while True:
            try:
                found = self._admin.list_topics(timeout=min(patience, self._left()))
            except KafkaException:
                self._admin.poll(0)  # calls `note`
                if self._all_down.is_set() or self._left() <= 0.01:
                    raise
                patience *= 2
            else:
                return {name: list(topic.partitions) for name, topic in found.topics.items()}

    def _offsets(self, places: list[TopicPartition], which: OffsetSpec) -> dict[tuple[str, int], int]:
        if not places:
            return {}
        futures = self._admin.list_offsets(dict.fromkeys(places, which), request_timeout=self._left())
        return {(place.topic, place.partition): future.result(self._left()).offset for place, future in futures.items()}

    def _left(self) -> float:
        return max(0.01, self._until - time.monotonic())
