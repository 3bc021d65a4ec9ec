"""Messages that a group does not believe: none of them does anything, and each lies on one list for people.

# Note [Refused before it is had]
A message is asked about before the inbox takes it. So one that is not believed leaves no trace but on the list: an
honest message whose id it has borrowed is handled when it comes, and the same one read again is refused again.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.db.models import QuerySet
from django.db.models.functions import Now

from kafka_bridge.consuming.registry import Belief, Group
from kafka_bridge.dead_letters import letter_store
from kafka_bridge.models import RefusedMessage
from kafka_bridge.retrying import parking
from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire.envelope import Received

log = logging.getLogger(__name__)
OPEN_AT_MOST = 10_000
"""With so many on the list, further ones are only logged: who floods a topic shall not fill the disk."""
BODY_AT_MOST = 65_536
"""Bytes of a body that are kept."""


def sift(group: Group, messages: Sequence[Received]) -> Sequence[Received]:
    """Those that the group believes; the others go on the list, in the transaction under way.

    See Note [Refused before it is had].
    """
    if whys := _doubts(group, messages):
        _put_on_list(group, [(messages[number], why) for number, why in whys.items()])
    return _without(messages, whys)


def believed(group: Group, messages: Sequence[Received]) -> Sequence[Received]:
    """Those that the group believes, and nothing else: for who reads the past again."""
    return _without(messages, _doubts(group, messages))


def _without(messages: Sequence[Received], whys: Mapping[int, str]) -> Sequence[Received]:
    return [message for number, message in enumerate(messages) if number not in whys] if whys else messages


def _doubts(group: Group, messages: Sequence[Received]) -> dict[int, str]:
    """By place in the batch, why a message is not believed; one round trip for each belief that handlers declare."""
    asked: dict[Belief, list[int]] = defaultdict(list)
    for number, message in enumerate(messages):
        if belief := group.belief_of(type(message.event)):
            asked[belief].append(number)
    whys: dict[int, str] = {}
    for belief, numbers in asked.items():
        found = belief([messages[number] for number in numbers])
        whys.update((number, why) for number, why in zip(numbers, found, strict=True) if why)
    return whys


def open_messages() -> QuerySet[RefusedMessage]:
    """Those that nobody has looked at yet."""
    return RefusedMessage.objects.filter(closed_at=None)


def close(*, ids: Sequence[int], by: str, note: str) -> int:
    """A person has looked at these. Returns how many were still open."""
    found = open_messages().filter(pk__in=ids)
    return found.update(closed_at=Now(), closed_by=by[:150], note=note[:500])


def _put_on_list(group: Group, refused: Sequence[tuple[Received, str]]) -> None:
    first, why = refused[0]
    log.error(
        "%s: %d messages are not believed, and moved nothing; the first is %s of %s: %s",
        group.name, len(refused), first.event.TYPE, first.event.key, why,
    )  # fmt: skip
    if open_messages()[:OPEN_AT_MOST].count() < OPEN_AT_MOST:
        RefusedMessage.objects.bulk_create([_row(group, *each) for each in refused], ignore_conflicts=True)


def _row(group: Group, message: Received, why: str) -> RefusedMessage:
    record, event = parking.original(message), message.event
    topic, partition, offset = record.coordinates
    return RefusedMessage(
        group=group.name,
        topic=topic,
        partition=partition,
        offset=offset,
        key=bulk_rows.storable(event.key)[:120],
        event_id=message.id,
        type=event.TYPE,
        headers=letter_store.pack(record.headers_),
        value=record.value_[:BODY_AT_MOST],
        why=why[:500],
        undone=_undone(group, message),
    )


def _undone(group: Group, message: Received) -> str:
    """What its handler would have done, in the handler's own words."""
    handler = group.handler_of(message.event)
    if handler is None:
        return "nothing: it means nothing to this group"
    words = (handler.function.__doc__ or "").strip().partition("\n")[0]
    return f"{handler.function.__name__}: {words}"[:300] if words else handler.function.__name__
