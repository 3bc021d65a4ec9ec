"""Charts as SVG, drawn by the server: they need no script, and the page's policy allows them."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shop.operations.pages import words

WIDTH, HEIGHT = 480, 180
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 24
COLOURS = 8
POINTS_MAX = 180
TABLE_ROWS = 12
NUMBERS = tuple(step * 10.0**size for size in range(12) for step in (2, 4, 10))
DURATIONS = (
    0.002, 0.01, 0.02, 0.1, 0.2, 1, 2, 4, 10, 20, 60, 120, 240, 600, 1200, 3600, 7200, 14_400, 43_200, 172_800, 691_200,
)  # fmt: skip
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800)
_GAP_FACTOR = 4.0

Point = tuple[float, float | None]
"""Seconds since the epoch, and what was there; None where nothing could be read."""


@dataclass(frozen=True, slots=True)
class Series:
    """A figure over time."""

    figure: str
    """What it counts, such as `lag_seconds`."""
    name: str
    """Of whom, such as a group."""
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Line:
    """One series, as drawn."""

    name: str
    colour: int
    path: str
    last: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    at: float
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """What the template draws, in units of the view box."""

    title: str
    since: float
    until: float
    lines: Sequence[Line]
    across: Sequence[Tick]
    up: Sequence[Tick]
    rows: Sequence[tuple[str, Sequence[str]]]
    """The same as a table: a time, and what each line had then."""

    @property
    def box(self) -> tuple[int, int]:
        """Width and height."""
        return WIDTH, HEIGHT

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the plot."""
        return LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM


def draw(
    title: str,
    series: Iterable[Series],
    *,
    since: datetime,
    until: datetime,
    say: Callable[[float], str],
    ceilings: Sequence[float],
) -> Chart:
    """A chart of these series from `since` to `until`.

    `say` writes a value for people; the vertical axis ends at the first of the ceilings that is high enough.
    """
    start, end = since.timestamp(), max(until.timestamp(), since.timestamp() + 1)
    cut = [Series(one.figure, one.name, _thinned(one.points, start, end)) for one in series]
    highest = max((value for one in cut for _, value in one.points if value is not None), default=0.0)
    top = next((ceiling for ceiling in ceilings if ceiling >= highest), highest)

    def across(at: float) -> float:
        return round(LEFT + (at - start) / (end - start) * (WIDTH - LEFT - RIGHT), 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)

    lines = [
        Line(one.name, number % COLOURS, _path(one.points, across, up), _last(one, say))
        for number, one in enumerate(cut)
    ]
    return Chart(
        title=title,
        since=start,
        until=end,
        lines=lines,
        across=[Tick(across(at), _clock(at, end - start)) for at in _times(start, end)],
        up=[Tick(up(value), say(value)) for value in (0.0, top / 2, top)],
        rows=_rows(cut, start, end, say),
    )


def _thinned(points: Sequence[Point], start: float, end: float) -> Sequence[Point]:
    """The points in between, so few that they can be drawn: of those that fall together the highest, or a gap."""
    inside = [point for point in points if start <= point[0] <= end]
    if len(inside) <= POINTS_MAX:
        return inside
    size = math.ceil(len(inside) / POINTS_MAX)
    together = (inside[place : place + size] for place in range(0, len(inside), size))
    return [max(some, key=lambda point: math.inf if point[1] is None else point[1]) for some in together]


def _path(points: Sequence[Point], across: Callable[[float], float], up: Callable[[float], float]) -> str:
    """An SVG path; where nothing could be read, it has a gap."""
    parts, pen = [], "M"
    gap = _GAP_FACTOR * _usual_distance(points)
    before = None
    for at, value in points:
        if value is None or (before is not None and at - before > gap):
            pen = "M"
        if value is not None:
            parts.append(f"{pen}{across(at)} {up(value)}")
            pen, before = "L", at
    return "".join(parts)


def _usual_distance(points: Sequence[Point]) -> float:
    distances = sorted(b[0] - a[0] for a, b in itertools.pairwise(points))
    return max(5.0, distances[len(distances) // 2]) if distances else 5.0


def _last(series: Series, say: Callable[[float], str]) -> str:
    value = series.points[-1][1] if series.points else None
    return words.NOTHING if value is None else say(value)


def _times(start: float, end: float) -> Sequence[float]:
    """Some six round times in between."""
    step = next((step for step in _STEPS if (end - start) / step <= 6), _STEPS[-1])
    first = math.ceil(start / step) * step
    return [float(at) for at in range(first, int(end) + 1, step)][:12]


def _clock(at: float, span: float) -> str:
    form = "%H:%M:%S" if span <= 600 else "%H:%M" if span <= 86_400 else "%d %b %H:%M"
    return datetime.fromtimestamp(at, UTC).strftime(form)


def _rows(
    series: Sequence[Series], start: float, end: float, say: Callable[[float], str]
) -> list[tuple[str, list[str]]]:
    step = (end - start) / TABLE_ROWS
    rows = []
    for number in range(1, TABLE_ROWS + 1):
        at = start + number * step
        cells = [_cell(one.points, at - step, at, say) for one in series]
        if any(cell != words.NOTHING for cell in cells):
            rows.append((_clock(at, min(end - start, 600)) if step < 60 else _clock(at, end - start), cells))
    return rows[::-1]


def _cell(points: Sequence[Point], after: float, until: float, say: Callable[[float], str]) -> str:
    """The highest value in between."""
    values = [value for at, value in points if after < at <= until and value is not None]
    return say(max(values)) if values else words.NOTHING
