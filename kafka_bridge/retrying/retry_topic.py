"""The retry topic of a group: what a copy in it says, and how one is put there.

A copy is a clock and nothing else. What is handled is the parked row (see Note [Sequence behind a failure] in
`models.py`), and a copy whose row is gone, or is in another round, is dropped.
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kafka_bridge.consuming.registry import Group
from kafka_bridge.retrying import republish
from kafka_bridge.runtime import topics
from kafka_bridge.wire import copies, message_headers, records
from kafka_bridge.wire.copies import Copy
from kafka_bridge.wire.envelope import Headers
from kafka_bridge.wire.records import Record

_PREFIX = "retry_"
_DUE = re.compile(rb"[0-9]{1,12}(\.[0-9]{1,6})?")
# What the columns of a parked message take; more attempts than any policy makes; longer than a topic's name can be.
_MOST_PARTITIONS, _LAST_OFFSET, _MOST_ATTEMPTS, _LONGEST_TOPIC = 2**31 - 1, 2**63 - 1, 10**6, 249
_CLOCKS_DIFFER_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryCopy:
    """A message in a retry topic."""

    record: Record
    """Of a message that was too large for a copy, as much as fitted; what is parked is whole."""
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
    message = Copy(key.encode() if isinstance(key, str) else key, value, records.own_headers(headers))
    facts = {
        "group": group,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "id": message_id or "",
        "attempt": attempt,
        "tries": tries,
        "due": f"{due or time.time():.3f}",
        "error": error,
    }
    copy = copies.make(message, facts, prefix=_PREFIX)
    republish.put(topics.retry_topic_name(topic, group), **copy._asdict(), timeout_seconds=timeout_seconds)


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


def parse_copy(message: Any, group: Group) -> RetryCopy:
    """A message of one of the group's retry topics as a copy.

    Raises:
        ValueError: it is none; something else than the bridge wrote it there.
    """
    headers = message_headers.read(message)
    found = {name: value or b"" for name, value in headers if name.startswith(_PREFIX)}
    topic = found.get("retry_topic", b"").decode(errors="replace")
    if topic not in {heard.name for heard in group.topics}:
        raise ValueError(f"{group.name} hears no topic {topic[:_LONGEST_TOPIC]!r}")
    record = Record(
        topic_=topic,
        partition_=_number(found, "retry_partition", most=_MOST_PARTITIONS),
        offset_=_number(found, "retry_offset", most=_LAST_OFFSET),
        key_=message.key() or b"",
        value_=message.value() or b"",
        headers_=records.own_headers(headers),
        message_id=_message_id(dict(headers)),
    )
    attempt, tries = (_number(found, name, most=_MOST_ATTEMPTS) for name in ("retry_attempt", "retry_tries"))
    return RetryCopy(record=record, attempt=attempt, tries=tries, due=_due(found, group))


def _message_id(found: Mapping[str, bytes | None]) -> UUID:
    """What names the message; a copy that an earlier version made says it by its event's id, if it has one."""
    try:
        return UUID((found.get("retry_id") or found.get("ce_id") or b"").decode())
    except ValueError:
        return records.id_of_unreadable(*(found.get(f"retry_{name}") for name in ("topic", "partition", "offset")))


def _number(found: Mapping[str, bytes], name: str, *, most: int) -> int:
    text = found.get(name, b"")
    if not (text.isdigit() and len(text) <= len(str(most)) and int(text) <= most):
        raise ValueError(f"header {name!r} is no number from 0 to {most}: {text[:40]!r}")
    return int(text)


def _due(found: Mapping[str, bytes], group: Group) -> float:
    """A copy is in hand until it is due, and only so many can be: one that is due in a year is none of ours."""
    text = found.get("retry_due", b"")
    due = float(text) if _DUE.fullmatch(text) else math.inf
    if due > time.time() + group.longest_delay_seconds() + _CLOCKS_DIFFER_SECONDS:
        raise ValueError(f"header 'retry_due' is no time at which {group.name} tries again: {text[:40]!r}")
    return due
