"""The timeline of one order: every event, its position in Kafka, which groups handled it, and how the order reacted.

It combines three tables: the outbox has the events and their positions in Kafka, the inbox which groups handled them,
and the order's trail how the order reacted. The registry says which groups *should* hear an event in the order's flow.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from events import catalogue
from kafka_bridge import admin as facts
from kafka_bridge.consuming import registry
from kafka_bridge.models import OutboxRow
from kafka_bridge.wire import event_types
from orders.models import Order, TrailEntry

_LED_TO = {
    "shipped": catalogue.OrderShipped.TYPE,
    "delivered": catalogue.OrderDelivered.TYPE,
    "reduced": catalogue.OrderReduced.TYPE,
    "returned": catalogue.OrderReturned.TYPE,
    "cancelled": catalogue.OrderCancelled.TYPE,
    "deadline passed": catalogue.OrderCancelled.TYPE,
}
"""Trail entries about actions, and the event that is published in the same transaction."""


@dataclass(frozen=True, kw_only=True)
class TimelineMoment:
    """A line of the timeline: an event, or an action without an event."""

    at: datetime
    since_placed: timedelta
    row: OutboxRow | None = None
    cause: OutboxRow | None = None
    """The event that caused this one."""
    owner: str = ""
    """The app that published the event."""
    hearings: tuple[facts.Hearing, ...] = ()
    entry: TrailEntry | None = None
    """How the order reacted to the event; or the action that led to it (or to none)."""

    @property
    def clock(self) -> str:
        """The time of day to the millisecond."""
        return f"{timezone.localtime(self.at):%H:%M:%S.%f}"[:-3]

    @property
    def after(self) -> str:
        """The time since the order was placed, in words."""
        return facts.as_age(self.since_placed)

    @property
    def page(self) -> str:
        """The outbox row's page."""
        return "" if self.row is None else facts.page_of(OutboxRow, self.row.pk)

    @property
    def body(self) -> str:
        """The event's fields, indented."""
        return "" if self.row is None else facts.as_json(self.row.body)

    @property
    def missing(self) -> list[str]:
        """Groups that should hear the event and have not handled it."""
        return [hearing.group for hearing in self.hearings if hearing.is_wanted and hearing.handled_at is None]


def moments_of(order: Order) -> list[TimelineMoment]:
    """The order's timeline, oldest first; three queries, however long it is."""
    rows = list(OutboxRow.objects.filter(key=str(order.pk)).order_by("id"))
    entries = list(order.trail.all())
    answers, acts = _answers(rows, entries)
    by_id = {row.event_id: row for row in rows}
    heard = facts.hearings(rows)
    moments = [
        TimelineMoment(
            at=row.created_at,
            since_placed=row.created_at - order.placed_at,
            row=row,
            cause=by_id.get(row.causation_id) if row.causation_id else None,
            owner=_owner(row),
            hearings=tuple(heard[row.event_id]),
            entry=answers.get(row.event_id),
        )
        for row in rows
    ]
    moments += [TimelineMoment(at=act.at, since_placed=act.at - order.placed_at, entry=act) for act in acts]
    return sorted(moments, key=lambda moment: (moment.at, moment.row.pk if moment.row else 0))


def _answers(
    rows: Sequence[OutboxRow], entries: Sequence[TrailEntry]
) -> tuple[dict[UUID, TrailEntry], list[TrailEntry]]:
    """Which trail entry belongs to which event, by event id; and the entries that belong to none.

    An entry does not name its event. But all events of a type are in one topic and have the same key, so the order
    heard them in the sequence in which they were published: the first entry of a type belongs to its first event.
    """
    heard = {event.TYPE: event.TYPE for event in catalogue.EVENTS if registry.find("orders").knows(event)}
    type_of = {**heard, **_LED_TO, catalogue.OrderCreated.TYPE: catalogue.OrderCreated.TYPE}
    waiting: dict[str, Iterator[OutboxRow]] = {}
    by_type: dict[str, list[OutboxRow]] = defaultdict(list)
    for row in rows:
        by_type[row.type].append(row)
    answers: dict[UUID, TrailEntry] = {}
    acts: list[TrailEntry] = []
    for entry in entries:
        event_type = type_of.get(entry.what, "")
        candidates = waiting.setdefault(event_type, iter(by_type[event_type]))
        if answered := next(candidates, None):
            answers[answered.event_id] = entry
        else:
            acts.append(entry)
    return answers, acts


def _owner(row: OutboxRow) -> str:
    event = event_types.find(row.type, row.version)
    return "" if event is None else event.TOPIC.owner
