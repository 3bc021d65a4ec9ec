"""One batch of messages, one transaction: inbox rows, effects and new facts commit together.

# Note [One batch, one transaction]
A batch is up to 500 messages. Their inbox ids go in with one statement, each handler gets its events in one call, and
all new outbox rows go out with one statement; then it commits. A crash before the commit leaves no trace, a crash after
it leaves the inbox rows, and then the redelivered messages do nothing. So the offset may lag behind, but never lead.

# Note [Nothing parked]
One statement takes the batch into the inbox, unless any of its keys is parked: usually that is all. Only if it has
taken nothing are the heads of the batch's keys locked, as `parking.py` asks for, and what is free is taken then. A key
that another member parks just after the first statement was free when it was asked; so it is with locks as well, for
there is no head yet to lock.

# Note [Waves]
Within a batch, events of one kind are handed over together, but those of one key must stay in sequence. So a message
goes into the first wave in which all earlier messages of its key are in earlier waves, or in the same wave and of the
same kind. Waves run one after the other.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from django.db import transaction

from kafka_bridge.believing import refusals
from kafka_bridge.consuming import inbox
from kafka_bridge.consuming.registry import CallStyle, Group, Handler
from kafka_bridge.dead_letters import letter_store
from kafka_bridge.publishing import outbox
from kafka_bridge.retrying import parking
from kafka_bridge.retrying.parking import Head
from kafka_bridge.telemetry import activity, log_context, partition_counts, tracing
from kafka_bridge.wire import envelope
from kafka_bridge.wire.envelope import Received
from kafka_bridge.wire.records import Record

_NOTHING: Sequence[Received] = ()


class Handled(NamedTuple):
    """How many messages of a batch were new to the group, and how many it had had before; it hears no others.

    Those that were refused, or put behind a parked one, are neither.
    """

    new: int
    seen_before: int


@dataclass(slots=True)
class Attempt:
    """One attempt to handle messages in a transaction: what made it fail, and what it did not handle."""

    handler: Handler | None = None
    """What was called last."""
    suspects: Sequence[Received] = _NOTHING
    """The messages of that call; one of them made it raise."""
    head: Head | None = None
    """The parked message that was being handled,"""
    record: Record | None = None
    """and the message itself."""
    parked_themselves: list[tuple[Received, Head]] = field(default_factory=list)
    """Messages that are parked, and have come once more: their copies may never have been made."""
    behind: Sequence[Received] = _NOTHING
    """Messages that were put behind a parked one."""
    began: float = 0.0
    """When its transaction began, by the performance counter."""

    @property
    def put_behind(self) -> int:
        """How many were put behind a parked one."""
        return len(self.behind)

    @property
    def handler_name(self) -> str:
        """Of what was called last; empty if nothing was."""
        return self.handler.name if self.handler else ""


def handle(group: Group, messages: Sequence[Received], attempt: Attempt | None = None) -> Handled:
    """Handle these messages in one durable transaction; those of parked keys are put behind their heads instead, and
    those that the group does not believe are refused.

    Raises:
        Exception: whatever a handler or the database raised; nothing was written, and `attempt` says what failed.
    """
    relevant = [message for message in messages if group.knows(type(message.event))]
    if not relevant:
        return Handled(0, 0)
    attempt = attempt or Attempt()
    attempt.began = time.perf_counter()
    with transaction.atomic(durable=True):
        free, fresh = _take_free(group, refusals.sift(group, relevant), attempt)
        _call_handlers(group, fresh, attempt)
    _count(group, free, fresh, attempt)
    return Handled(len(fresh), len(free) - len(fresh))


def handle_alone(group: Group, message: Received, attempt: Attempt) -> Handled:
    """Handle a message that was sent again and is no head; if it was a dead letter, it is one no more.

    Raises:
        Exception: as `handle`.
    """
    attempt.began = time.perf_counter()
    with transaction.atomic(durable=True):
        believed = refusals.sift(group, [message])
        free, fresh = _take_free(group, believed, attempt)
        _call_handlers(group, fresh, attempt)
        if free or not believed:
            _close_letter(group, message, is_refused=not believed)
    _count(group, free, fresh, attempt)
    return Handled(len(fresh), len(free) - len(fresh))


def handle_head(group: Group, key: str, is_wanted: Callable[[Head], bool], attempt: Attempt) -> bool:
    """Handle the head of a key in one durable transaction, if it is wanted; its row goes with its effects.

    False where the key is free or its head is not wanted. A released head is never handled: it counts as had. One that
    is not believed only goes.

    Raises:
        Malformed: the parked message cannot be read.
        Exception: as `handle`; the attempt has the head.
    """
    attempt.began, fresh = time.perf_counter(), _NOTHING
    with transaction.atomic(durable=True):
        attempt.head = parking.lock_heads(group=group.name, keys=[key]).get(key)
        if attempt.head is None or not is_wanted(attempt.head):
            return False
        # Set before anything can raise: a message that cannot be read is buried as it came.
        attempt.record = parking.read_record(attempt.head)
        message = envelope.decode(attempt.record)
        if attempt.head.state == parking.State.RELEASED:
            inbox.take(group=group.name, messages=[message])
        else:
            believed = refusals.sift(group, [message])
            fresh = inbox.take(group=group.name, messages=believed)
            _call_handlers(group, fresh, attempt)
            _close_letter(group, message, is_refused=not believed)
        parking.remove(attempt.head)
    _count(group, fresh, fresh, attempt)
    return True


def _count(group: Group, free: Sequence[Received], fresh: Sequence[Received], attempt: Attempt) -> None:
    """After the commit; once for all messages of a transaction, so that it costs each of them next to nothing."""
    counts, seconds = partition_counts.current, time.perf_counter() - attempt.began
    counts.count_handled(group.name, map(_place, fresh), seconds)
    if tracing.is_on():
        tracing.record_handling(group.name, fresh, seconds)
    if len(free) > len(fresh):
        new = set(map(id, fresh))
        counts.count_all("seen_before", group.name, [_place(m) for m in free if id(m) not in new])
    if attempt.behind:
        counts.count_all("parked", group.name, map(_place, attempt.behind))
    activity.current.progress()
    activity.current.note_use("postgresql")


_place = attrgetter("topic", "partition")


def _take_free(
    group: Group, messages: Sequence[Received], attempt: Attempt
) -> tuple[Sequence[Received], Sequence[Received]]:
    """Those whose keys are free, and of them those that are new to the group. See Note [Nothing parked]."""
    attempt.handler, attempt.suspects, attempt.parked_themselves, attempt.behind = None, _NOTHING, [], _NOTHING
    if not messages:
        return _NOTHING, _NOTHING
    fresh = inbox.take_unless_parked(group=group.name, messages=messages)
    if fresh:
        return messages, fresh
    # None was taken: a key is parked, or the group has had them all. Only the locks can tell.
    free = _set_parked_apart(group, messages, attempt)
    return free, inbox.take(group=group.name, messages=free) if free else free


def _set_parked_apart(group: Group, messages: Sequence[Received], attempt: Attempt) -> Sequence[Received]:
    heads = parking.lock_heads(group=group.name, keys={message.event.key for message in messages})
    if not heads:
        return messages
    free, behind = list[Received](), list[Received]()
    for message in messages:
        head = heads.get(message.event.key)
        if head is None:
            free.append(message)
        elif message.id == head.event_id:
            attempt.parked_themselves.append((message, head))
        else:
            behind.append(message)
    parking.wait_behind(group=group.name, messages=behind)
    attempt.behind = behind
    return free


def _call_handlers(group: Group, fresh: Sequence[Received], attempt: Attempt) -> None:
    """Hand over messages that are new to the group, wave by wave."""
    attempt.handler, attempt.suspects = None, _NOTHING
    for handler, calls in waves(group, fresh):
        attempt.handler = handler
        # Each message of a key in a wave has the same cause for what follows: the last one.
        causes = {message.event.key: message for message in calls}
        with tracing.in_group(group.name), outbox.collect(causes):
            if handler.form is CallStyle.ONE:
                for message in calls:
                    attempt.suspects = (message,)
                    with log_context.about(message.ids):
                        handler.call(attempt.suspects)
                attempt.suspects = calls
            elif len(calls) == 1:
                attempt.suspects = calls
                with log_context.about(calls[0].ids):
                    handler.call(calls)
            else:
                attempt.suspects = calls
                handler.call(calls)
    # Whatever fails from here on is not one handler's fault.
    attempt.suspects = _NOTHING


def _close_letter(group: Group, message: Received, *, is_refused: bool) -> None:
    close = letter_store.refuse if is_refused else letter_store.resolve
    close(group=group.name, event_id=message.id)


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
