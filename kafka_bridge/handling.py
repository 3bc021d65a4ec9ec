"""One batch of messages, one transaction: inbox rows, effects and new facts commit together.

# Note [One batch, one transaction]
A batch is up to 500 messages. Their inbox ids go in with one statement, each handler gets its events in one call, and
all new outbox rows go out with one statement; then it commits. A crash before the commit leaves no trace, a crash after
it leaves the inbox rows, and then the redelivered messages do nothing. So the offset may lag behind, but never lead.

# Note [Waves]
Within a batch, events of one kind are handed over together, but those of one key must stay in sequence. So a message
goes into the first wave in which all earlier messages of its key are in earlier waves, or in the same wave and of the
same kind. Waves run one after the other.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db import transaction

from kafka_bridge import inbox, outbox
from kafka_bridge.envelope import Received
from kafka_bridge.registry import Group, Handler


class Handled(NamedTuple):
    """How many messages of a batch were new to the group, and how many it had had before; it hears no others."""

    new: int
    seen_before: int


def handle(group: Group, messages: Sequence[Received]) -> Handled:
    """Handle these messages in one durable transaction.

    Raises:
        Exception: whatever a handler or the database raised; nothing was written then.
    """
    relevant = [message for message in messages if group.knows(type(message.event))]
    if not relevant:
        return Handled(0, 0)
    with transaction.atomic(durable=True):
        fresh = inbox.take(group=group.name, messages=relevant)
        for handler, calls in waves(group, fresh):
            # Each message of a key in a wave has the same cause for what follows: the last one.
            with outbox.collect({message.event.key: message for message in calls}):
                handler.call(calls)
    return Handled(len(fresh), len(relevant) - len(fresh))


def waves(group: Group, messages: Sequence[Received]) -> Iterator[tuple[Handler, list[Received]]]:
    """Messages in the order and grouping in which handlers get them; see Note [Waves]."""
    last: dict[str, tuple[int, Handler]] = {}
    plan: dict[int, dict[Handler, list[Received]]] = defaultdict(lambda: defaultdict(list))
    for message in messages:
        handler = group.handler_of(message.event)
        if handler is None:
            continue
        wave, before = last.get(message.event.key, (0, handler))
        if before is not handler:
            wave += 1
        last[message.event.key] = wave, handler
        plan[wave][handler].append(message)
    for wave in sorted(plan):
        yield from plan[wave].items()
