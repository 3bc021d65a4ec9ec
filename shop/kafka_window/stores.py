"""What PostgreSQL knows of messages: the outbox, the inboxes, and an order's story. Each question by an index."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import connection

from kafka_bridge.consuming import registry
from kafka_bridge.models import InboxRow, OutboxRow
from kafka_bridge.monitoring.log_tail import LogEntry
from kafka_bridge.runtime.postgresql import database_bounds
from orders.models import Order
from shop.kafka_window.state import InboxEntry, OutboxEntry, Step, Stores

STATEMENT_SECONDS = 3.0
WAITING_MAX = 10_000
"""More rows are not counted."""
SHOWN = 8
STEPS_MAX = 200
_WAITING = "SELECT count(*) FROM (SELECT FROM kafka_bridge_outboxrow WHERE published_at IS NULL LIMIT %s) AS w"
_COLUMNS = ("event_id", "causation_id", "type", "topic", "created_at", "published_at", "partition", "offset")


def connect() -> None:
    """Bound the statements of this thread's connection, for those who only look: call it before the others.

    Raises:
        django.db.Error: PostgreSQL cannot be reached.
    """
    if connection.connection is None:
        connection.ensure_connection()
        database_bounds.bound(connection, STATEMENT_SECONDS)


def read(last: Sequence[LogEntry]) -> Stores:
    """The outbox as it is, and which inboxes have these messages (the newest first).

    Raises:
        django.db.Error: PostgreSQL cannot be asked.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [WAITING_MAX])
        [(waiting,)] = cursor.fetchall()
    rows = OutboxRow.objects.order_by("-id").values("id", "type", "topic", "key", "partition", "offset")[:SHOWN]
    return Stores(waiting=waiting, outbox=[OutboxEntry(**row) for row in rows], inbox=list(_inbox(last[:SHOWN])))


def _inbox(last: Sequence[LogEntry]) -> Iterable[InboxEntry]:
    ids = {entry: found for entry in last if (found := as_uuid(entry.header("ce_id")))}
    had = handled(ids.values())
    for entry, event_id in ids.items():
        yield InboxEntry(
            type=entry.header("ce_type"),
            topic=entry.topic,
            partition=entry.partition,
            offset=entry.offset,
            key=entry.key.decode(errors="replace"),
            groups=tuple(sorted(had.get(event_id, {}))),
        )


def handled(event_ids: Iterable[UUID]) -> Mapping[UUID, Mapping[str, datetime]]:
    """By event and group, when its inbox took it.

    Raises:
        django.db.Error: PostgreSQL cannot be asked.
    """
    groups = [group.name for group in registry.groups()]
    found: dict[UUID, dict[str, datetime]] = defaultdict(dict)
    rows = InboxRow.objects.filter(group__in=groups, event_id__in=list(event_ids))
    for event_id, group, at in rows.values_list("event_id", "group", "handled_at"):
        found[event_id][group] = at
    return found


def find_order(words: str) -> UUID | None:
    """The order of this id or reference, as somebody typed it; None where there is none.

    Raises:
        django.db.Error: PostgreSQL cannot be asked.
    """
    words = words.strip()
    if (found := as_uuid(words)) is not None:
        return found
    if not words or "\x00" in words:
        return None
    return Order.objects.filter(reference__iexact=words).values_list("id", flat=True).first()


def story(order_id: UUID) -> list[Step]:
    """All events with this order's key: each cause before what it caused.

    Raises:
        django.db.Error: PostgreSQL cannot be asked.
    """
    rows = list(OutboxRow.objects.filter(key=str(order_id)).order_by("id").values(*_COLUMNS)[:STEPS_MAX])
    had = handled(row["event_id"] for row in rows)
    steps = [
        Step(
            **{name: row[name] for name in _COLUMNS if name != "created_at"},
            stated_at=row["created_at"],
            handled=had.get(row["event_id"], {}),
        )
        for row in rows
    ]
    return in_causal_sequence(steps)


def in_causal_sequence(steps: Sequence[Step]) -> list[Step]:
    """Each cause is followed by what it caused, which is one deeper; what has no known cause begins anew."""
    known = {step.event_id for step in steps}
    caused: dict[UUID | None, list[Step]] = defaultdict(list)
    for step in steps:
        cause = step.causation_id if step.causation_id in known and step.causation_id != step.event_id else None
        caused[cause].append(step)
    found: dict[UUID, Step] = {}

    def tell(cause: UUID | None, depth: int) -> None:
        for step in caused[cause]:
            if step.event_id not in found:
                found[step.event_id] = replace(step, depth=depth)
                tell(step.event_id, depth + 1)

    tell(None, 0)
    # Two that claim to have caused each other have no beginning; they are told all the same.
    return [*found.values(), *(step for step in steps if step.event_id not in found)]


def as_uuid(text: str) -> UUID | None:
    """A UUID in any of its spellings; None where it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
