"""From which figures on somebody is told; `ALERT_LIMITS` changes them, such as `lag=5000,disk_free_percent=20`."""

from dataclasses import dataclass, fields
from math import isfinite

LEAST_REPEAT_SECONDS = 60


class BadLimits(ValueError):
    """ALERT_LIMITS names a limit that there is not, or a number that makes no sense; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Numbers that a condition is held against. An alert is raised beyond them, not at them."""

    lag: float = 1_000
    """Messages that a group has not read: a warning."""
    lag_critical: float = 10_000
    """The same, critical."""
    error_percent: float = 5
    """Attempts of a group that raised, of all attempts in the last minute."""
    dead_letters: float = 100
    """That wait for a person."""
    throughput_per_second: float = 100
    """A group that is behind and handles fewer messages is slow."""
    behind_seconds: float = 30
    """A group is behind where the oldest message that it has not read is older."""
    behind_messages: float = 100
    """Or where it has not read more than so many."""
    stalled_seconds: float = 120
    """For how long an offset may rest although there is something to read."""
    paused_seconds: float = 900
    """For how long what a person has paused may stand still."""
    relay_seconds: float = 15
    """For how long events wait while no relay sends any."""
    outbox_seconds: float = 60
    """For how long an event may wait to leave, whatever the cause."""
    mail_seconds: float = 300
    """For how long a mail that is due may wait."""
    connections_percent: float = 80
    """Of those that PostgreSQL allows."""
    disk_free_percent: float = 10
    """Of a disk; critical below a third of it."""
    broker_free_mib: float = 2_048
    """Free space of a broker's disk."""
    certificate_days: float = 21
    """Until the certificate of a broker ends; critical below a third of it."""
    clock_seconds: float = 5
    """By which PostgreSQL's clock and ours may differ."""
    unread_percent: float = 50
    """Of the time for which a topic keeps its messages, the age of one that has not been read."""
    source_age_seconds: float = 60
    """The age of what a source said last, from which on it counts as away."""


def parse(text: str) -> Limits:
    """The usual limits with these in their places: `name=number`, separated by commas.

    Raises:
        BadLimits: see there.
    """
    wanted = dict(_pair(piece.strip()) for piece in text.split(",") if piece.strip())
    known = {each.name for each in fields(Limits)}
    if unknown := sorted(set(wanted) - known):
        raise BadLimits(f"ALERT_LIMITS: there is no limit {unknown[0]!r}; there are {', '.join(sorted(known))}.")
    return Limits(**{name: _number(name, number) for name, number in wanted.items()})


def repeat_seconds(seconds: float) -> float:
    """After how long an alert that holds is told again.

    Raises:
        BadLimits: nobody would read what comes so often.
    """
    if not (isfinite(seconds) and seconds >= LEAST_REPEAT_SECONDS):
        raise BadLimits(f"ALERT_REPEAT_SECONDS={seconds:g}: it is a number of seconds, {LEAST_REPEAT_SECONDS} or more.")
    return seconds


def _pair(piece: str) -> tuple[str, str]:
    name, equals, number = piece.partition("=")
    if not equals:
        raise BadLimits(f"ALERT_LIMITS: {piece!r} is not of the form name=number, such as lag=5000.")
    return name.strip(), number.strip()


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not (isfinite(number) and number >= 0):
        raise BadLimits(f"ALERT_LIMITS: {name}={text} is not a number, 0 or more.")
    return number
