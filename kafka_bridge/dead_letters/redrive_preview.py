"""What sending a dead letter again would do, told from the state of things as it is now."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from django.db import DataError
from django.db.models import QuerySet

from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import letter_store, redriving
from kafka_bridge.models import DeadLetter, InboxRow, ParkedMessage
from kafka_bridge.runtime import error_classes
from kafka_bridge.wire import envelope

subject_words: dict[str, Callable[[str], str]] = {}
"""By topic: a function that takes an event's key and says how what it is about stands now ("invoice 7 is paid").
The site, which knows the other apps, fills it."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What sending a letter again would do now, told from the state of things; no handler is called for it."""

    words: str
    """Whole sentences."""
    would_fail: bool
    """Whether it would fail again, or cannot be sent at all."""


def forecast(letter: DeadLetter) -> Forecast:
    """What sending it again would do now."""
    if why := redriving.obstacle_to_redriving(letter):
        return Forecast(words=f"It cannot be sent again: {why}.", would_fail=True)
    try:
        return Forecast(words=" ".join(_sentences(letter)), would_fail=False)
    except registry.WouldFail as error:
        return Forecast(words=redriving.as_sentence(f"would fail again: {error}"), would_fail=True)


def dry_run(letter: DeadLetter) -> str:
    """The words of `forecast`."""
    return forecast(letter).words


def _sentences(letter: DeadLetter) -> Iterator[str]:
    if letter.is_readable and InboxRow.objects.filter(**letter.parked_as).exists():
        yield f"Already handled by {letter.group}: would change nothing."
        return
    if left_out := letter_store.cut_of(letter).headers_left_out:
        yield f"It lacks {left_out:,} of its headers, which were too large to be kept."
    yield redriving.as_sentence(_handling(letter))
    if behind := waiting_behind(letter).count():
        yield f"Behind it {'1 message waits' if behind == 1 else f'{behind:,} messages wait'} and would follow."


def _handling(letter: DeadLetter) -> str:
    group, event_type = redriving.group_of(letter), redriving.event_type_of(letter)
    if event_type is None:
        raise registry.WouldFail("its headers name no event that this code knows")
    try:
        event = envelope.decode_body(event_type, letter.contents)
    except envelope.Malformed as error:
        raise registry.WouldFail(str(error)) from error
    handler = group.handler_of(event) if group else None
    if group is None or handler is None:
        return f"means nothing to {letter.group}: would only be noted"
    if preview := group.preview.get(event_type):
        return _told_by(partial(preview, event))
    state = state_of_subject(letter)
    handled = f"{letter.group} would handle it as if it had just come, and that works only if the cause is mended"
    return f"{state}; {handled}" if state else handled


def state_of_subject(letter: DeadLetter) -> str:
    """How what it is about stands now, in words; empty where nobody says."""
    words = subject_words.get(letter.topic)
    return _told_by(partial(words, letter.key)) if words else ""


def _told_by(tell: Callable[[], str]) -> str:
    """What it says. A letter may hold anything, also what such a function stumbles over: then that is said."""
    try:
        return tell()
    except (OverflowError, ValueError, DataError) as error:
        return f"cannot be told ({error_classes.describe(error)})"


def waiting_behind(letter: DeadLetter) -> QuerySet[ParkedMessage]:
    """Messages of its key that wait behind it, in their sequence; none where it is no head."""
    head = ParkedMessage.objects.filter(**letter.parked_as).values("id")[:1]
    return ParkedMessage.objects.filter(group=letter.group, key=letter.key, id__gt=head).order_by("id")
