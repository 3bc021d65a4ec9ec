"""Figures as people read them."""

from datetime import datetime

from django.utils import timezone

NOTHING = "\N{EN DASH}"
_UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def duration(seconds: float | None) -> str:
    """Such as "42 s", "3 min 5 s", "2 h 10 min"."""
    if seconds is None:
        return NOTHING
    for size, unit, smaller, name in _UNITS:
        if seconds >= size:
            rest = int(seconds % size) // smaller
            return f"{int(seconds) // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else milliseconds(seconds)


def milliseconds(seconds: float | None) -> str:
    """For what is quick: "1.5 ms", "240 ms"; from ten seconds on as `duration`."""
    if seconds is None:
        return NOTHING
    if seconds >= 10 or seconds == 0:
        return duration(seconds)
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"


def number(value: float | None) -> str:
    """With separators; small fractions keep a digit."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def rate(value: float | None) -> str:
    """Per second."""
    return NOTHING if value is None else f"{number(value)}/s"


def percent(share: float | None) -> str:
    """Of a share from 0 to 1."""
    if share is None:
        return NOTHING
    return "0 %" if share == 0 else f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"


def size(number_of_bytes: float | None) -> str:
    """In the unit that fits."""
    if number_of_bytes is None:
        return NOTHING
    for unit in _SIZES:
        if number_of_bytes < 1024 or unit == _SIZES[-1]:
            break
        number_of_bytes /= 1024
    return f"{number_of_bytes:.0f} {unit}" if unit == "B" or number_of_bytes >= 100 else f"{number_of_bytes:.1f} {unit}"


def ago(at: datetime | float | None, now: datetime) -> str:
    """How long ago: "3 s ago"."""
    if at is None:
        return "never"
    moment = at.timestamp() if isinstance(at, datetime) else at
    return f"{duration(max(0.0, float(int(now.timestamp() - moment))))} ago"


def clock(at: datetime | float | None) -> str:
    """The time of day in UTC, with the day where it is not today's."""
    if at is None:
        return NOTHING
    moment = at if isinstance(at, datetime) else datetime.fromtimestamp(at, timezone.get_default_timezone())
    local = timezone.localtime(moment, timezone.get_default_timezone())
    same_day = local.date() == timezone.localdate(timezone=timezone.get_default_timezone())
    return local.strftime("%H:%M:%S" if same_day else "%d %b %H:%M:%S")


def plural(count: int, one: str, many: str = "") -> str:
    """The number with its word."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """With a full stop at its end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."
