"""What people do to dead letters: send them again, edit them first, discard them.

Each action is written in one transaction with who did it and why. Nothing here sends anything at once:

# Note [Decided first, sent later]
A redrive is a decision in PostgreSQL: the letter is *redriven*, its key's head is to be retried, and its copy is due at
a time that gives the whole bulk its pace. The sender (`redrive_sender.py`, called by the worker beside the group
`dead_letters`, and by the command that redrives, which shows its progress) takes what is due, brings it to the retry
topic, and only then notes that it has gone. A crash in between sends a copy twice, which the inbox makes harmless, and
never leaves one unsent.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

import msgspec
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from kafka_bridge.consuming import inbox, registry
from kafka_bridge.dead_letters import acts, letter_store, rights
from kafka_bridge.dead_letters.acts import LetterAct
from kafka_bridge.models import DeadLetter
from kafka_bridge.retrying import parking
from kafka_bridge.runtime import clients, error_classes
from kafka_bridge.wire import copies, envelope, event_types
from kafka_bridge.wire.events import Event

State = DeadLetter.State
T = TypeVar("T")
CAP = 1000
"""How many letters are dealt with at once by default."""
PER_SECOND = 50.0
"""How many letters are sent again in a second by default."""
_CHUNK = 100


class InvalidBody(ValueError):
    """The body does not fit the event's schema, or is about something else; the message says where. Mend the body."""


@dataclass(kw_only=True)
class RedriveOutcome:
    """What was done to which letters, and why others were left alone."""

    done: list[int] = field(default_factory=list)
    left: list[tuple[int, str]] = field(default_factory=list)
    """A letter's id and what stood in the way."""
    beyond_cap: int = 0
    """Letters that were asked for beyond the cap."""


# -- Choosing ------------------------------------------------------------------------------------------
def choose(
    *,
    ids: Iterable[int] = (),
    group: str = "",
    event: str = "",
    error: str = "",
    kind: str = "",
    state: str = "",
    older_than: timedelta | None = None,
) -> QuerySet[DeadLetter]:
    """Letters by what is given, oldest first: the sequence in which they are sent again.

    `error` is a part of the error's words, `kind` a fingerprint; `older_than` is since the last death.
    """
    letters = DeadLetter.objects.order_by("id")
    exact = {"group": group, "type": event, "fingerprint": kind, "state": state}
    letters = letters.filter(**{name: value for name, value in exact.items() if value})
    if chosen := list(ids):
        letters = letters.filter(pk__in=chosen)
    if error:
        letters = letters.filter(error__icontains=error)
    if older_than is not None:
        letters = letters.filter(died_at__lt=timezone.now() - older_than)
    return letters


def obstacle_to_redriving(letter: DeadLetter) -> str:
    """What stands in the way of sending it again, or "" if nothing does."""
    match State(letter.state):
        case State.RESOLVED:
            return "handled already"
        case State.DISCARDED:
            return "discarded, and what waited behind it has gone on"
        case _:
            return _why_not_heard(letter) or _why_incomplete(letter)


def _why_not_heard(letter: DeadLetter) -> str:
    group = group_of(letter)
    if group is None:
        return f"there is no group {letter.group!r}"
    heard = letter.topic in {topic.name for topic in group.topics}
    return "" if heard else f"{letter.group} does not hear {letter.topic}"


def _why_incomplete(letter: DeadLetter) -> str:
    cut = letter_store.cut_of(letter)
    if not cut.body_bytes or letter.edited_value is not None:
        return ""
    return (
        f"its body has {cut.body_bytes:,} bytes, of which only the first {len(letter.value):,} could be kept (SHA-256 "
        f"of the whole: {cut.body_sha256}); it lies at {letter.topic}[{letter.partition}]@{letter.offset} for as long "
        "as that topic keeps it. Edited, it can be sent"
    )


def obstacle_to_discarding(letter: DeadLetter) -> str:
    """What stands in the way of discarding it, or "" if nothing does."""
    match State(letter.state):
        case State.PARKED:
            return ""
        case State.REDRIVEN:
            return "sent again, and perhaps just being handled"
        case state:
            return "handled already" if state is State.RESOLVED else "discarded already"


def group_of(letter: DeadLetter) -> registry.Group | None:
    """The group that gave up on it, if there still is one."""
    try:
        return registry.find(letter.group)
    except LookupError:
        return None


def event_type_of(letter: DeadLetter) -> type[Event] | None:
    """What its headers say it is, if this code knows such an event."""
    found = dict(letter_store.unpack(letter.headers))
    version = found.get("ce_dataversion", b"")
    return event_types.find(letter.type, int(version) if version.isdigit() and len(version) < 9 else 0)


# -- Actions -------------------------------------------------------------------------------------------
def redrive(
    letters: QuerySet[DeadLetter],
    *,
    by: str,
    reason: str,
    cap: int = CAP,
    per_second: float = PER_SECOND,
    refuse: Callable[[DeadLetter], str] = rights.nothing_more,
) -> RedriveOutcome:
    """Decide that these letters are sent again, the first at once and the others at this pace; not in a transaction.

    See Note [Decided first, sent later]. One that was redriven before and is still not handled is sent once more.
    `refuse` says why a letter is left alone, or "".

    Raises:
        ValueError: without a reason, or with a cap or a pace below 1.
    """
    _require(reason, cap)
    if not per_second >= 0.1 or math.isinf(per_second):
        raise ValueError("the pace is a number of messages per second, 0.1 or more")
    begun, gap = _database_time(), timedelta(seconds=1 / per_second)

    def act(letter: DeadLetter, number: int) -> str:
        if why := obstacle_to_redriving(letter) or refuse(letter):
            return why
        parking.send_again(**letter.parked_as, headers=letter_store.unpack(letter.headers), value=letter.contents)
        _change(letter, state=State.REDRIVEN, send_at=begun + number * gap, closed_at=None)
        acts.note(LetterAct(letter=letter, who=by, what="redriven", reason=reason))
        return ""

    return _each(letters, cap, act)


def discard(
    letters: QuerySet[DeadLetter],
    *,
    by: str,
    reason: str,
    cap: int = CAP,
    refuse: Callable[[DeadLetter], str] = rights.nothing_more,
) -> RedriveOutcome:
    """Give these letters up for good, and let go on what waits behind them; not in a transaction. `refuse` as above.

    Raises:
        ValueError: without a reason, or with a cap below 1.
    """
    _require(reason, cap)

    def act(letter: DeadLetter, number: int) -> str:
        if why := obstacle_to_discarding(letter) or refuse(letter):
            return why
        parking.release(**letter.parked_as)
        note_as_had(letter)
        _change(letter, state=State.DISCARDED, closed_at=Now(), send_at=None)
        acts.note(LetterAct(letter=letter, who=by, what="discarded", reason=reason))
        return ""

    return _each(letters, cap, act)


def note_as_had(letter: DeadLetter) -> None:
    """It is discarded: should its topic be read again, its event does not come back by the front door."""
    if letter.event_id and letter.is_readable:
        inbox.note(
            group=letter.group,
            event_id=letter.event_id,
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
        )


def edit(letter_id: int, body: str, *, by: str, reason: str = "") -> None:
    """Have this body sent in place of the original, which stays, as does the event's id; not in a transaction.

    Raises:
        InvalidBody: see there; nothing was changed.
        DeadLetter.DoesNotExist: there is no such letter.
    """
    with transaction.atomic(durable=True):
        letter = DeadLetter.objects.select_for_update().get(pk=letter_id)
        if letter.state != State.PARKED:
            raise InvalidBody(f"The letter is {State(letter.state).label.lower()}; only one that waits can be edited.")
        value = _fitting(letter, body)
        _change(letter, edited_value=None if value == bytes(letter.value) else value)
        acts.note(LetterAct(letter=letter, who=by, what="edited", reason=reason, edited=value))


def _fitting(letter: DeadLetter, body: str) -> bytes:
    event_type = event_type_of(letter)
    if event_type is None:
        raise InvalidBody("Its headers name no event that this code knows, so there is no schema to check a body with.")
    try:
        given = msgspec.json.decode(body)
        value = msgspec.json.encode(given)
        event = envelope.decode_body(event_type, value)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise InvalidBody(f"The body is no {event_type.TYPE} version {event_type.VERSION}: {error}.") from error
    except envelope.Malformed as error:
        raise InvalidBody(as_sentence(str(error))) from error
    most = clients.conf().max_message_bytes
    if copies.shorten(letter.key.encode(), value, letter_store.unpack(letter.headers), room=most)[1]:
        raise InvalidBody(
            f"With a body of {len(value):,} bytes it is larger than the {most:,} that a message can have."
        )
    # A reader ignores what it does not know; a person who misspells an optional field wants to be told.
    known = {one.encode_name for one in msgspec.structs.fields(event_type)} | _fields(bytes(letter.value))
    if unknown := sorted(given.keys() - known):
        raise InvalidBody(f"{event_type.TYPE} has no {', '.join(unknown)}.")
    if event.key != letter.key:
        raise InvalidBody(f"The event is about {letter.key}, and must stay so; this body is about {event.key}.")
    return value


def _fields(body: bytes) -> set[str]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return set()
    return set(found) if isinstance(found, dict) else set()


def _each(letters: QuerySet[DeadLetter], cap: int, act: Callable[[DeadLetter, int], str]) -> RedriveOutcome:
    """Do it to each letter, up to the cap, a chunk to a transaction; `act` says what stands in the way."""
    ids = list(letters.values_list("pk", flat=True)[:cap])
    outcome = RedriveOutcome(beyond_cap=max(0, letters.count() - cap) if len(ids) == cap else 0)
    for start in range(0, len(ids), _CHUNK):
        chunk, number = ids[start : start + _CHUNK], len(outcome.done)
        part = again_after_conflicts(lambda chunk=chunk, number=number: _chunk(chunk, number, act))  # type: ignore[misc]
        outcome.done += part.done
        outcome.left += part.left
    return outcome


def _chunk(ids: Sequence[int], number: int, act: Callable[[DeadLetter, int], str]) -> RedriveOutcome:
    part = RedriveOutcome()
    with transaction.atomic(durable=True):
        for letter in DeadLetter.objects.filter(pk__in=ids).order_by("id").select_for_update():
            if why := act(letter, number + len(part.done)):
                part.left.append((letter.pk, why))
            else:
                part.done.append(letter.pk)
    return part


def again_after_conflicts(function: Callable[[], T]) -> T:
    """Run a transaction, again where another one stood in the way.

    A consumer locks the head before the letter, we the letter before the head; PostgreSQL then ends one of us."""
    for _ in range(4):
        try:
            return function()
        except OperationalError as error:
            if not error_classes.is_conflict(error):
                raise
    return function()


def _database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        [(now,)] = cursor.fetchall()
        return cast(datetime, now)


def as_sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."


def require_reason(reason: str) -> None:
    """Nothing is done to a letter without a word why.

    Raises:
        ValueError: there is none.
    """
    if not reason.strip():
        raise ValueError("a reason is required")


def _require(reason: str, cap: int) -> None:
    require_reason(reason)
    if cap < 1:
        raise ValueError("the cap is a number of letters, 1 or more")


def _change(letter: DeadLetter, **values: Any) -> None:
    DeadLetter.objects.filter(pk=letter.pk).update(**values)
