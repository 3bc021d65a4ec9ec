"""How often a message is tried, when, and how it travels to the next attempt.

# Note [Rounds]
A handler that raises is tried some times in its place, with short pauses; that is the first round. Then the message is
parked (see Note [Sequence behind a failure]), and a copy of it goes to the group's retry topic, with the time at which
it is due. Each further round is one attempt. After the last one it goes to the dead letters. The copy is a clock and
nothing else: what is handled is the parked row, and a copy whose row is gone, or in another round, is dropped.
"""

import time
from dataclasses import dataclass
from typing import Any

from kafka_bridge.retrying import republish
from kafka_bridge.runtime import backoff, clients
from kafka_bridge.wire import records
from kafka_bridge.wire.envelope import Headers
from kafka_bridge.wire.records import Record


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How often and when a message whose handler raises is tried again; times in seconds."""

    attempts: int = 3
    """In its place, before it is parked."""
    backoff_seconds: float = 0.2
    """Pause before the second attempt in its place; it doubles with each further one."""
    delays_seconds: tuple[float, ...] = (5.0, 30.0, 120.0)
    """Pauses before the attempts that follow, from the retry topic; none: straight to the dead letters."""

    def pause(self, tried: int) -> float | None:
        """Seconds to the next attempt in its place, after so many; None: no further one there."""
        if tried >= self.attempts:
            return None
        return backoff.exponential(
            tried, first_seconds=self.backoff_seconds, longest_seconds=60, jitter=backoff.QUARTER
        )

    def delay(self, rounds: int) -> float | None:
        """Seconds to the next round, after so many; None: it was the last one."""
        if rounds > len(self.delays_seconds):
            return None
        return backoff.spread(self.delays_seconds[rounds - 1])

    def __str__(self) -> str:
        rounds = ", ".join(f"{delay:g}" for delay in self.delays_seconds)
        return f"{self.attempts} in place" + (f", then after {rounds} s" if rounds else "")


def default() -> Policy:
    """What the settings say."""
    options = clients.conf()
    return Policy(
        attempts=options.attempts,
        backoff_seconds=options.backoff_seconds,
        delays_seconds=options.retry_delays_seconds,
    )


def topic_name(topic: str, group: str) -> str:
    """Where copies of a topic's messages wait for a group's next attempt (both without prefixes)."""
    return f"{topic}.{group}.retry"


def group_name(group: str) -> str:
    """The Kafka group of a group's retry consumers (both without the prefix)."""
    return f"{group}.retry"


# -- The copy --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A message in a retry topic."""

    record: Record
    attempt: int
    """Rounds the message had when the copy was made; 0 where somebody sent a dead letter again."""
    tries: int
    """Calls of its handler until then."""
    due: float
    """Seconds since the epoch."""


def forward(
    *,
    group: str,
    topic: str,
    partition: int,
    offset: int,
    headers: Headers,
    value: bytes,
    key: str | bytes,
    attempt: int = 0,
    tries: int = 0,
    due: float = 0.0,
    error: str = "",
    timeout_seconds: float = 10,
) -> None:
    """Put a copy of a message into its group's retry topic; return once the brokers have acknowledged it.

    `topic` (without the cluster's prefix), `partition` and `offset` say where it was read first. With the defaults it
    is due at once and begins anew: so a dead letter is sent again, after the transaction with `parking.send_again` has
    committed.

    Raises:
        KafkaException: they did not acknowledge it; call again, a copy too many is harmless.
    """
    facts = {
        "retry_group": group,
        "retry_topic": topic,
        "retry_partition": partition,
        "retry_offset": offset,
        "retry_attempt": attempt,
        "retry_tries": tries,
        "retry_due": f"{due or time.time():.3f}",
        "retry_error": error,
    }
    republish.put(
        topic_name(topic, group),
        key=key.encode() if isinstance(key, str) else key,
        value=value,
        headers=[
            *records.own_headers(headers),
            *((name, str(fact).encode(errors="replace")) for name, fact in facts.items()),
        ],
        timeout_seconds=timeout_seconds,
    )


def forward_record(group: str, record: Record, *, attempt: int, tries: int, due: float, error: str) -> None:
    """`forward` for a record."""
    topic, partition, offset = record.place
    forward(
        group=group,
        topic=topic,
        partition=partition,
        offset=offset,
        headers=record.headers_,
        value=record.value_,
        key=record.key_,
        attempt=attempt,
        tries=tries,
        due=due,
        error=error,
    )


def read(message: Any) -> Copy:
    """A message of a retry topic as a copy.

    Raises:
        ValueError: it is none; whoever wrote it there was not the bridge.
    """
    found = {name: (value or b"").decode(errors="replace") for name, value in message.headers() or ()}
    try:
        record = Record(
            topic_=found["retry_topic"],
            partition_=int(found["retry_partition"]),
            offset_=int(found["retry_offset"]),
            key_=message.key() or b"",
            value_=message.value() or b"",
            headers_=records.own_headers(message.headers()),
        )
        attempt, tries, due = int(found["retry_attempt"]), int(found["retry_tries"]), float(found["retry_due"])
    except KeyError as missing:
        raise ValueError(f"header {missing} is missing") from missing
    return Copy(record=record, attempt=attempt, tries=tries, due=due)
