"""One message, opened: what it holds, why it lies where it lies, who has had it, and what it caused."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kafka_bridge.consuming import registry
from kafka_bridge.monitoring import log_tail
from kafka_bridge.monitoring.log_tail import LogEntry
from kafka_bridge.runtime import topics
from kafka_bridge.wire import partitioning
from kafka_bridge.wire.partitioning import Choice
from shop.kafka_window import stores
from shop.kafka_window.state import Step, Window

_PLACE = re.compile(r"([a-z0-9._-]{1,120})/(\d{1,6})/(\d{1,18})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Had:
    """How a group stands to a message."""

    group: str
    is_read: bool
    """Whether the offset that it has committed is behind the message."""
    committed: int | None
    hears: bool
    """Whether it hears events of this type; if not, it passes the message over."""
    handled_at: datetime | None
    """When its inbox took it; None where it has not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A message with all that is known of it."""

    entry: LogEntry
    body: str
    """For people; empty where it may not be shown."""
    choice: Choice | None
    had: Sequence[Had]
    caused: Sequence[Step]
    order: str
    """The order that it is about; empty where it is about none."""

    @property
    def key(self) -> str:
        """For people."""
        return self.entry.key.decode(errors="replace")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """For people."""
        return [(name, value.decode(errors="replace")) for name, value in self.entry.headers]


def place(words: str) -> tuple[str, int, int] | None:
    """Topic, partition and offset as an address names them; None where that is no place of ours."""
    found = _PLACE.fullmatch(words)
    if found is None or found[1] not in {topic.name for topic in topics.wanted()}:
        return None
    return found[1], int(found[2]), int(found[3])


def open_message(words: str, window: Window, *, with_body: bool) -> Opened | None:
    """The message at this place; None where none lies there. Blocks.

    Raises:
        KafkaException, django.db.Error: it cannot be asked for.
    """
    where = place(words)
    if where is None:
        return None
    topic, partition, offset = where
    tail = window.tails.get((topic, partition), ())
    entry = next((each for each in tail if each.offset == offset), None)
    entry = entry or log_tail.read_one(topic, partition, offset)
    if entry is None:
        return None
    event_id, order_id = stores.as_uuid(entry.header("ce_id")), stores.as_uuid(entry.key.decode(errors="replace"))
    story = stores.story(order_id) if order_id else []
    return Opened(
        entry=entry,
        body=readable(entry) if with_body else "",
        choice=partitioning.choose(entry.key, _partitions(window, topic)),
        had=_had(window, entry),
        caused=[step for step in story if event_id and step.causation_id == event_id],
        order=str(order_id) if story else "",
    )


def readable(entry: LogEntry) -> str:
    """The body for people: JSON on several lines, anything else as text."""
    text = entry.body.decode(errors="replace")
    if entry.body_bytes > len(entry.body):
        return f"{text}\n… {entry.body_bytes - len(entry.body)} bytes more"
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _partitions(window: Window, topic: str) -> int:
    found = window.kafka.topics if window.kafka else ()
    return next((len(each.partitions) for each in found if each.name == topic), 0)


def _had(window: Window, entry: LogEntry) -> list[Had]:
    event_id = stores.as_uuid(entry.header("ce_id"))
    handled = stores.handled([event_id]).get(event_id, {}) if event_id else {}
    lags = [part.lag for group in (window.kafka.groups if window.kafka else ()) for part in group.partitions]
    return [
        Had(
            group=lag.group,
            is_read=lag.committed is not None and lag.committed > entry.offset,
            committed=lag.committed,
            hears=_hears(lag.group, entry.header("ce_type")),
            handled_at=handled.get(lag.group),
        )
        for lag in lags
        if (lag.topic, lag.partition) == (entry.topic, entry.partition)
    ]


def _hears(name: str, event_type: str) -> bool:
    """What those read that are no group of an app, such as dead letters, is heard whatever it is."""
    group = next((each for each in registry.groups() if each.name == name), None)
    return group is None or event_type in {event.TYPE for event in group.handlers}
