"""What `manage.py dead_letters` prints."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from kafka_bridge.dead_letters import error_kinds, key_discarding, redrive_preview, redriving
from kafka_bridge.models import DeadLetter

# C0 but for tab and newline, DEL, C1: what a terminal would obey instead of showing it.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_COLOURS = {"parked": "bold yellow", "redriven": "cyan", "resolved": "green", "discarded": "dim"}


def letter_as_json(letter: DeadLetter) -> dict[str, Any]:
    """A letter without its contents, for machines."""
    return {
        "id": letter.pk,
        "state": str(letter.state),
        "group": letter.group,
        "event": letter.type,
        "event_id": letter.event_id and str(letter.event_id),
        "key": letter.key,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "error": letter.error,
        "kind": letter.fingerprint,
        "handler": letter.handler,
        "attempts": letter.attempts,
        "died_at": letter.died_at.isoformat(),
    }


def kind_as_json(kind: error_kinds.ErrorKind) -> dict[str, Any]:
    """A kind of error, for machines."""
    return {
        "kind": kind.fingerprint,
        "count": kind.count,
        "groups": kind.groups,
        "event": kind.type,
        "error": kind.error,
        "handler": kind.handler,
        "first": kind.first.isoformat(),
        "last": kind.last.isoformat(),
        "example": kind.example,
    }


def as_text(value: bytes | memoryview) -> str:
    """A message's body or a header, whatever it is."""
    return bytes(value).decode(errors="replace")


def what_discarding_does(letter: DeadLetter) -> str:
    """In a sentence."""
    behind = redrive_preview.waiting_behind(letter).count()
    return "Given up for good." + (f" {behind:,} waiting behind it would be handled." if behind else "")


def _text(words: str, style: str = "") -> Text:
    """What a message says, shown and never obeyed, neither by the terminal nor as markup."""
    return Text(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", words), style=style)


def what_discarding_the_key_does(letter: DeadLetter) -> str:
    """In a sentence."""
    return f"Given up for good, {key_discarding.count(letter):,} of {letter.key} in all."


def _state(letter: DeadLetter) -> Text:
    return Text(str(letter.state), style=_COLOURS[letter.state])


def _since(at: Any) -> str:
    seconds = max(0, int((timezone.now() - at).total_seconds()))
    for unit, size in reversed(UNITS.items()):
        if seconds >= 2 * size or size == 1:
            return f"{seconds // size} {unit}"
    return ""


def letters_table(letters: Sequence[DeadLetter], *, of: int) -> RenderableType:
    """Letters, one a line; `of` is how many there are in all."""
    if not letters:
        return "No dead letters."
    more = f", the first {len(letters):,}" if of > len(letters) else ""
    table = Table("id", "state", "group", "event", "key", title=f"Dead letters: {of:,}{more}", title_justify="left")
    table.add_column("tried", justify="right")
    table.add_column("since", justify="right")
    table.add_column("error")
    for one in letters:
        names = map(_text, (one.group, one.type, one.key))
        table.add_row(str(one.pk), _state(one), *names, str(one.attempts), _since(one.died_at), _text(one.error))
    return table


def kinds_table(kinds: Sequence[error_kinds.ErrorKind]) -> RenderableType:
    """Kinds of errors, one a line."""
    if not kinds:
        return "No dead letter waits."
    table = Table(title="Dead letters that wait, by kind", title_justify="left")
    table.add_column("kind", no_wrap=True, min_width=16)
    table.add_column("letters", justify="right")
    for column in ("group", "event", "error", "first", "last", "one"):
        table.add_column(column)
    for kind in kinds:
        ages = (f"{_since(kind.first)} ago", f"{_since(kind.last)} ago")
        words = map(_text, (", ".join(kind.groups), kind.type, kind.error))
        table.add_row(kind.fingerprint, f"{kind.count:,}", *words, *ages, str(kind.example))
    return table


def dry_run_table(found: Sequence[tuple[DeadLetter, str, bool]]) -> RenderableType:
    """What would be done to which letter; the last column says whether it can be."""
    if not found:
        return "No dead letter was found for that."
    table = Table("id", "state", "event", "key", "would", title="Dry run: nothing was done", title_justify="left")
    for one, words, possible in found:
        told = _text(words, style="" if possible else "dim")
        table.add_row(str(one.pk), _state(one), _text(one.type), _text(one.key), told)
    return table


def letter_page(facts: Mapping[str, Any]) -> RenderableType:
    """All about one letter."""
    table = Table("", "", show_header=False, title=f"Dead letter {facts['id']}", title_justify="left")
    for name, value in facts.items():
        match name, value:
            case "headers", _:
                words = "\n".join(f"{header}: {content}" for header, content in value.items())
            case "acts", _:
                words = "\n".join(
                    f"{act['at']} {act['who']}: {act['what']}" + f" ({act['reason']})" * bool(act["reason"])
                    for act in value
                )
            case _:
                words = "" if value is None else str(value)
        if words:
            table.add_row(name.replace("_", " "), _text(words))
    return table


def outcome_text(outcome: redriving.RedriveOutcome, done: str, *, by: str) -> RenderableType:
    """What was done in whose name, and what was left alone and why."""
    lines = [f"{len(outcome.done):,} {done}, by {by}."] if outcome.done else []
    lines += [f"{pk}: left alone, {why}." for pk, why in outcome.left]
    if outcome.beyond_cap:
        lines.append(f"{outcome.beyond_cap:,} more are beyond the limit; run it again for them.")
    return Text("\n".join(lines))
