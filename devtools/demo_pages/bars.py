"""A chart of horizontal bars, as numbers for SVG: a policy without inline styles allows attributes."""

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 100.0


def drawn(bars: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each with its width in percent of the longest; what is not 0 is seen."""
    longest = max((float(bar["value"]) for bar in bars), default=0.0) or 1.0
    return [
        {"label": bar["label"], "words": bar["words"], "width": _width(float(bar["value"]), longest)} for bar in bars
    ]


def _width(value: float, longest: float) -> str:
    return f"{max(0.5, WIDTH * value / longest):.1f}" if value else "0"
