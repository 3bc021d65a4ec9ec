"""The retry topic of a group: what a copy in it says, and how one is put there.

A copy is a clock and nothing else. What is handled is the parked row (see Note [Sequence behind a failure] in
`models.py`), and a copy whose row is gone, or is in another round, is dropped.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kafka_bridge.retrying import republish
from kafka_bridge.runtime import topics
from kafka_bridge.wire import records
from kafka_bridge.wire.envelope import Headers
from kafka_bridge.wire.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryCopy:
    """A message in a retry topic."""

    record: Record
    attempt: int
    """Rounds the message had when the copy was made; 0 where a dead letter was sent again."""
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
    message_id: UUID | None,
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

    `topic` (without the cluster's prefix), `partition` and `offset` say where it was read first, `message_id` what
    names it (None for what its headers say). With the defaults it is due at once and starts from the first round: so a
    dead letter is sent again, after the transaction with `parking.send_again` has committed.

    Raises:
        KafkaException: they did not acknowledge it; call again, a copy too many is harmless.
    """
    facts = {
        "retry_group": group,
        "retry_topic": topic,
        "retry_partition": partition,
        "retry_offset": offset,
        "retry_id": message_id or "",
        "retry_attempt": attempt,
        "retry_tries": tries,
        "retry_due": f"{due or time.time():.3f}",
        "retry_error": error,
    }
    republish.put(
        topics.retry_topic_name(topic, group),
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
    topic, partition, offset = record.coordinates
    forward(
        group=group,
        topic=topic,
        partition=partition,
        offset=offset,
        message_id=record.message_id,
        headers=record.headers_,
        value=record.value_,
        key=record.key_,
        attempt=attempt,
        tries=tries,
        due=due,
        error=error,
    )


def parse_copy(message: Any) -> RetryCopy:
    """A message of a retry topic as a copy.

    Raises:
        ValueError: it is none; something else than the bridge wrote it there.
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
            message_id=_message_id(found),
        )
        attempt, tries, due = int(found["retry_attempt"]), int(found["retry_tries"]), float(found["retry_due"])
    except KeyError as missing:
        raise ValueError(f"header {missing} is missing") from missing
    return RetryCopy(record=record, attempt=attempt, tries=tries, due=due)


def _message_id(found: Mapping[str, str]) -> UUID:
    """What names the message; a copy that an earlier version made says it by its event's id, if it has one."""
    try:
        return UUID(found.get("retry_id") or found["ce_id"])
    except (KeyError, ValueError):
        return records.id_of_unreadable(found["retry_topic"], found["retry_partition"], found["retry_offset"])
