"""Dead letters in PostgreSQL: how a message in Kafka becomes a row, and when the row is closed.

# Note [A letter and its deaths]
A letter is named by what names its message, see Note [What names a message] in `records.py`. It may die several times:
it is redriven, and its group gives up on it again. Each death is a copy in a dead letter topic, and its time tells the
deaths of one letter apart. A copy that is not younger than what is stored has been seen before, so reading the dead
letter topics again from their beginning changes nothing.

# Note [Decided is decided]
A group may read its own topics again, too, and then gives up once more on what it cannot read or refuses. Such a death
says nothing new: the letter is there, waits, was sent again, or was discarded, and stays so. Only the consumer of the
retry topics has something new to say, of a letter that was sent again: that it failed again. A letter that is closed is
never opened.
"""

import hashlib
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from confluent_kafka import Message
from django.db import connection, transaction
from django.db.models import Q

from kafka_bridge.models import UNREADABLE, DeadLetter, DeadLetterAct, InboxRow
from kafka_bridge.runtime import clients, conf
from kafka_bridge.runtime.postgresql import bulk_rows
from kafka_bridge.wire import copies, message_headers, records
from kafka_bridge.wire.copies import Copy
from kafka_bridge.wire.envelope import Headers

PREFIX = "dlq_"
"""How the headers begin that say why a message is a dead letter."""
_LONGEST_TRACEBACK = 32_000
_CLOCKS_DIFFER_SECONDS = 24 * 3600
_MOST_ATTEMPTS = 2**31 - 1
_WITH_DIGITS = re.compile(r"[\w-]*\d[\w-]*")
_OPEN: dict[str, Any] = {"state": DeadLetter.State.PARKED, "closed_at": None, "send_at": None}
_CLOSE = """
WITH closed AS (
    UPDATE kafka_bridge_deadletter SET state = %s, closed_at = now(), send_at = NULL
    WHERE "group" = %s AND event_id = %s AND state IN ('parked', 'redriven')
    RETURNING id
)
INSERT INTO kafka_bridge_deadletteract (letter_id, who, what, reason) SELECT id, %s, %s, %s FROM closed
"""


@dataclass(frozen=True, kw_only=True)
class DeadLetterCopy:
    """What a copy in a dead letter topic says: which message it was, and why its group gave up on it.

    Strangers can write into these topics, so each value is one that its column takes.
    """

    group: str
    topic: str
    partition: int
    offset: int
    message_id: UUID
    key: str
    event_id: UUID | None
    type: str
    is_first_reading: bool
    """Whether the group's own consumer gave up on it, and not the one of its retry topics."""
    error: str
    handler: str
    traceback: str
    attempts: int
    headers: list[list[str | None]]
    value: bytes
    died_at: datetime

    @property
    def fingerprint(self) -> str:
        """The same for the same error in the same handler; see `fingerprint_of`."""
        return fingerprint_of(error=self.error, handler=self.handler, event_type=self.type)


# -- From Kafka ----------------------------------------------------------------------------------------
def parse_dead_letter(message: Message) -> DeadLetterCopy:
    """What the copy says. Never raises: what is missing or cannot be read is told as well as it can be."""
    headers = message_headers.read(message)
    topic = str(message.topic()).removeprefix(clients.conf().topic_prefix)
    copy = Copy(message.key() or b"", message.value() or b"", [(name, value or b"") for name, value in headers])
    place = message.partition() or 0, message.offset() or 0
    return read_copy(topic, copy, died_at=_moment(message.timestamp()[1]), place=place)


def read_copy(topic: str, copy: Copy, *, died_at: datetime, place: tuple[int, int] = (0, 0)) -> DeadLetterCopy:
    """What a copy that lies at this place of that topic (without the cluster's prefix) says, or would say there."""
    found = dict(copy.headers)
    source, _, group = topic.removesuffix(".dlq").rpartition(".")
    # However it got there: without its origin it is named by where it lies now.
    origin = (
        (_text(found["dlq_topic"]).removeprefix(clients.conf().topic_prefix), int(found["dlq_partition"]),
         int(found["dlq_offset"]))
        if _has_origin(found)
        else (topic, *place)
    )  # fmt: skip
    own = [(name, value) for name, value in copy.headers if not name.startswith(records.BRIDGE_HEADERS)]
    kept, cut = copies.shorten(b"", copy.value, own, room=conf.max_copy_bytes())
    said = cut or {name: _text(found[PREFIX + name]) for name in copies.CUT_FACTS if PREFIX + name in found}
    error, event_id = _text(found.get("dlq_error", b""))[:500], _uuid(found.get("ce_id", b""))
    # A copy that an earlier version made does not say what names it.
    known_id = None if error.startswith(UNREADABLE) else event_id
    group = (_text(found.get("dlq_group", b"")) or group)[:60]
    return DeadLetterCopy(
        group=group,
        topic=(origin[0] or source)[:120],
        partition=origin[1],
        offset=origin[2],
        message_id=_uuid(found.get("dlq_id", b""))
        or known_id
        or records.id_of_unreadable(origin, copy.key, copy.value),
        key=_text(copy.key)[:120],
        event_id=event_id,
        type=_text(found.get("ce_type", b""))[:80],
        is_first_reading=_text(found.get("dlq_member", b"")) == group,
        error=error or "unknown: its headers give no reason",
        handler=_text(found.get("dlq_handler", b""))[:200],
        traceback=_text(found.get("dlq_traceback", b""))[:_LONGEST_TRACEBACK],
        attempts=_count(found.get("dlq_attempts", b"")),
        headers=pack([*kept.headers, *((PREFIX + name, str(fact).encode()) for name, fact in said.items())]),
        value=kept.value,
        died_at=died_at,
    )


def _moment(milliseconds: int) -> datetime:
    """A message's time; that of the epoch where it has none, or one that cannot be: so it hides no real death."""
    if 0 <= milliseconds <= (time.time() + _CLOCKS_DIFFER_SECONDS) * 1000:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    return datetime.fromtimestamp(0, UTC)


def pack(headers: Iterable[tuple[str, bytes | None]]) -> list[list[str | None]]:
    """Headers as JSON can hold them: [name, value in base64]."""
    return [[bulk_rows.storable(name), None if value is None else b64encode(value).decode()] for name, value in headers]


def unpack(headers: Iterable[Sequence[str | None]]) -> Headers:
    """The message's own headers as they came; those without a value are left out."""
    return records.own_headers(_pairs(headers))


def cut_of(letter: DeadLetter) -> copies.Cut:
    """What was not kept of its message, because it was too large; see Note [A copy always fits]."""
    return copies.cut_of(_pairs(letter.headers), prefix=PREFIX)


def _pairs(headers: Iterable[Sequence[str | None]]) -> Headers:
    return [(str(name), b64decode(value)) for name, value in headers if value is not None]


def _has_origin(found: Mapping[str, bytes]) -> bool:
    numbers = (found.get(name, b"") for name in ("dlq_partition", "dlq_offset"))
    # What fits into the columns: int, bigint.
    fits = all(number.isdigit() and len(number) < digits for number, digits in zip(numbers, (10, 19), strict=True))
    return bool(found.get("dlq_topic")) and fits


def _text(value: bytes | str) -> str:
    return bulk_rows.storable(value if isinstance(value, str) else value.decode(errors="replace"))


def _count(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 9 else 0


def _uuid(value: bytes) -> UUID | None:
    try:
        return UUID(value.decode())
    except ValueError:
        return None


def fingerprint_of(*, error: str, handler: str, event_type: str) -> str:
    """A short name for a kind of failure: words with a digit in them (ids, numbers, references) count as the same."""
    words = "\n".join([_WITH_DIGITS.sub("#", error), handler, event_type])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


# -- Storing -------------------------------------------------------------------------------------------
def store(deaths: Sequence[DeadLetterCopy]) -> int:
    """Store them in one durable transaction; how many were news. See Note [A letter and its deaths]."""
    with transaction.atomic(durable=True):
        return sum(map(_store, deaths))


def _store(death: DeadLetterCopy) -> bool:
    letter = _from_before(death)
    if letter is None:
        letter, is_new = DeadLetter.objects.select_for_update().get_or_create(
            group=death.group, message_id=death.message_id, defaults=_content(death)
        )
        if is_new:
            return True
    if death.died_at <= letter.died_at or not _is_news(letter, death):
        return False
    _update(letter, **_reason(death), **_OPEN, attempts=min(letter.attempts + death.attempts, _MOST_ATTEMPTS))
    _note(letter, "parked again", death.error)
    return True


def _is_news(letter: DeadLetter, death: DeadLetterCopy) -> bool:
    """Whether the letter waits for a person once more; see Note [Decided is decided]."""
    is_closed = letter.state in (DeadLetter.State.RESOLVED, DeadLetter.State.DISCARDED)
    return not (is_closed or death.is_first_reading or _was_handled_after_all(death))


def _from_before(death: DeadLetterCopy) -> DeadLetter | None:
    """The letter that has another name than its message has now; it takes that one.

    Its message could not be read when it was stored, was sent again, and could be read then. Or the letter has no name
    yet: an earlier version stored it.
    """
    letters = DeadLetter.objects.select_for_update().filter(group=death.group)
    if letters.filter(message_id=death.message_id).exists():
        return None
    unnamed, sent_again = Q(message_id=None), Q(state=DeadLetter.State.REDRIVEN)
    if death.event_id == death.message_id:
        candidates = Q(event_id=death.event_id) & (unnamed | sent_again)
    else:
        candidates = unnamed & Q(topic=death.topic, partition=death.partition, offset=death.offset)
    for letter in letters.filter(candidates).order_by("id"):
        if death.value in (bytes(letter.value), letter.edited_value and bytes(letter.edited_value)):
            _update(letter, message_id=death.message_id)
            return letter
    return None


def _content(death: DeadLetterCopy) -> dict[str, Any]:
    message = {
        "topic": death.topic,
        "partition": death.partition,
        "offset": death.offset,
        "key": death.key,
        "event_id": death.event_id,
        "type": death.type,
        "headers": death.headers,
        "value": death.value,
    }
    return {**message, **_reason(death), "attempts": death.attempts}


def _reason(death: DeadLetterCopy) -> dict[str, Any]:
    return {
        "error": death.error,
        "handler": death.handler,
        "fingerprint": death.fingerprint,
        "traceback": death.traceback,
        "died_at": death.died_at,
    }


def _was_handled_after_all(death: DeadLetterCopy) -> bool:
    """A copy of a death that was under way while a copy of the message was handled."""
    return InboxRow.objects.filter(group=death.group, event_id=death.message_id).exists()


def _update(letter: DeadLetter, **values: Any) -> None:
    DeadLetter.objects.filter(pk=letter.pk).update(**values)


def _note(letter: DeadLetter, what: str, reason: str) -> None:
    DeadLetterAct.objects.create(letter=letter, who=letter.group, what=what, reason=reason[:500])


def resolve(*, group: str, event_id: UUID) -> None:
    """The event has been handled: if it was a dead letter it is one no more. Call it in the effects' transaction."""
    _close(DeadLetter.State.RESOLVED, group, event_id)


def refuse(*, group: str, event_id: UUID) -> None:
    """The event is not believed: if it was a dead letter, there is nothing more to do for it here."""
    _close(DeadLetter.State.DISCARDED, group, event_id, "not believed: see the refused messages")


def _close(state: DeadLetter.State, group: str, event_id: UUID, reason: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, [state, group, event_id, group, state, reason])


def count_waiting(*, limit: int) -> int:
    """How many wait for a person; counts no further than the limit."""
    return DeadLetter.objects.filter(state=DeadLetter.State.PARKED).order_by()[:limit].count()
