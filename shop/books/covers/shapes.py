"""What covers are drawn with: plain SVG shapes, colours that can be read, and the two places for words.

A cover is 320 wide and 480 high. Coordinates are rounded to keep files small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shop.books.covers import lettering

WIDTH, HEIGHT, MARGIN = 320, 480, 26


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where words stand: a box, how they cling to it, their face and colour."""

    name: lettering.FaceName
    colour: str
    top: float
    height: float
    x: float = MARGIN
    width: float = WIDTH - 2 * MARGIN
    anchor: lettering.Anchor = "start"
    cling: Literal["top", "middle", "bottom"] = "top"
    largest: float = 60
    leading: float = 1.08
    tracking: int = 0
    capitals: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Shapes, and the two places for words."""

    shapes: str
    title: Spot
    author: Spot


def ground(colour: str) -> str:
    """The whole cover in one colour."""
    return rect(0, 0, WIDTH, HEIGHT, colour)


def rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1) -> str:
    """A rectangle."""
    faded = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"{faded}/>'


def outline(x: float, y: float, width: float, height: float, colour: str, thickness: float) -> str:
    """A rectangle without a filling."""
    line = f'fill="none" stroke="{colour}" stroke-width="{thickness}"'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" {line}/>'


def circle(x: float, y: float, radius: float, colour: str, opacity: float = 1) -> str:
    """A disc."""
    faded = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}"{faded}/>'


def ring(x: float, y: float, radius: float, colour: str, thickness: float, opacity: float) -> str:
    """A circle without a filling."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="none" stroke="{colour}" stroke-width="{thickness}"'
        f' opacity="{opacity}"/>'
    )


def stroke(points: Sequence[tuple[float, float]], colour: str, thickness: float, *, fill: str = "none") -> str:
    """A line through these points."""
    path = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="{fill}" stroke="{colour}" stroke-width="{thickness:.1f}"/>'


def area(line: Sequence[tuple[float, float]], colour: str) -> str:
    """All that is below a line."""
    path = " ".join(f"L{x:.0f} {y:.1f}" for x, y in line)
    return f'<path d="M0 {HEIGHT} {path} L{WIDTH} {HEIGHT} Z" fill="{colour}"/>'


def leaf(x: float, y: float, size: float, colour: str) -> str:
    """One leaf; a negative size turns it round."""
    length, lift = size * 1.25, abs(size) * 0.8
    return (
        f'<path d="M{x:.1f} {y:.1f} q{length * 0.2:.1f} {-lift:.1f} {length:.1f} {-lift:.1f}'
        f' q{-length * 0.1:.1f} {lift * 0.9:.1f} {-length:.1f} {lift:.1f} Z" fill="{colour}"/>'
    )


def quarter(corner_x: float, corner_y: float, radius: float, x: float, y: float, side: float, colour: str) -> str:
    """A quarter of a circle about a corner of the tile at (x, y), drawn as a line inside the tile."""
    step_x, step_y = (radius if corner_x == x else -radius), (radius if corner_y == y else -radius)
    sweep = 1 if (step_x > 0) == (step_y > 0) else 0
    return (
        f'<path d="M{corner_x + step_x:.0f} {corner_y:.0f} A{radius:.0f} {radius:.0f} 0 0 {sweep} {corner_x:.0f}'
        f' {corner_y + step_y:.0f}" fill="none" stroke="{colour}" stroke-width="{side * 0.2:.0f}"/>'
    )


def fade(name: str, colour: str, start: float, end: float) -> str:
    """From see-through at `start` to the colour at `end` and below, so that words can be read there."""
    return (
        f'<defs><linearGradient id="{name}" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{colour}" stop-opacity="0"/>'
        f'<stop offset="1" stop-color="{colour}"/></linearGradient></defs>'
        f'<rect x="0" y="{start}" width="{WIDTH}" height="{end - start}" fill="url(#{name})"/>'
        + rect(0, end - 1, WIDTH, HEIGHT - end + 1, colour)
    )


def mix(one: str, other: str, share: float) -> str:
    """A colour on the way from one to the other."""
    pairs = zip(channels(one), channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def readable_on(colour: str) -> str:
    """Near-white or near-black, whichever stands out (relative luminance, WCAG 2)."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in channels(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#1d1a17" if luminance > 0.18 else "#fdf6e9"


def channels(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
