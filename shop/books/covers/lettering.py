"""Sets text as outlines, so that a cover looks the same on every machine.

A browser shows an SVG in an <img> without the page's fonts, and system fonts differ in width. The outlines
(`faces/*.json`) are in thousandths of an em, y downwards, the baseline at 0.
"""

import unicodedata
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal

import msgspec

FaceName = Literal["garamond", "garamond-italic", "spartan", "bebas", "vollkorn"]
Anchor = Literal["start", "middle", "end"]


class Face(msgspec.Struct, frozen=True):
    """One cut of a typeface. A glyph is its advance width and its SVG path; kerning is by pair."""

    cap_height: int
    descent: int
    glyphs: dict[str, tuple[int, str]]
    kerning: dict[str, int]

    def known(self, text: str) -> str:
        """The text as far as this face can set it: letters that it lacks lose their accent, or are dropped."""
        letters: list[str] = []
        for char in text:
            if char in self.glyphs:
                letters.append(char)
                continue
            letters.extend(plain for plain in unicodedata.normalize("NFKD", char) if plain in self.glyphs)
        return "".join(letters)

    def width(self, text: str, *, tracking: int = 0) -> int:
        """How wide a line is, in thousandths of the size; tracking goes between letters."""
        advances = sum(self.glyphs[char][0] for char in text)
        kerns = sum(self.kerning.get(text[index : index + 2], 0) for index in range(len(text) - 1))
        return advances + kerns + tracking * max(len(text) - 1, 0)


@cache
def face(name: FaceName) -> Face:
    """The face of this name, read once."""
    path = Path(__file__).parent / "faces" / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Face)


def line(
    text: str, *, name: FaceName, x: float, baseline: float, size: float, anchor: Anchor = "start", tracking: int = 0
) -> str:
    """One line as SVG paths without a colour; `x` and `baseline` in the picture's units."""
    letters = face(name)
    text = letters.known(text)
    scale = size / 1000
    shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * letters.width(text, tracking=tracking)
    pieces: list[str] = []
    pen = 0
    for index, char in enumerate(text):
        advance, outline = letters.glyphs[char]
        if outline:
            pieces.append(f'<path transform="translate({pen})" d="{outline}"/>')
        pen += advance + letters.kerning.get(text[index : index + 2], 0) + tracking
    return f'<g transform="translate({x - shift * scale:.2f} {baseline:.2f}) scale({scale:.5f})">{"".join(pieces)}</g>'


class Block(msgspec.Struct, frozen=True):
    """Lines that fit a box, and the size at which they do."""

    lines: tuple[str, ...]
    size: float
    line_height: float
    cap_height: float
    name: FaceName
    tracking: int

    @property
    def height(self) -> float:
        """From the top of the first line's capitals to the last baseline."""
        return self.cap_height + self.line_height * (len(self.lines) - 1)

    def draw(self, *, x: float, top: float, anchor: Anchor = "start") -> str:
        """The block as SVG paths, its first capitals touching `top`."""
        return "".join(
            line(
                text,
                name=self.name,
                x=x,
                baseline=top + self.cap_height + index * self.line_height,
                size=self.size,
                anchor=anchor,
                tracking=self.tracking,
            )
            for index, text in enumerate(self.lines)
        )


def fit(
    text: str,
    *,
    name: FaceName,
    width: float,
    height: float,
    largest: float,
    leading: float = 1.08,
    tracking: int = 0,
) -> Block:
    """The text in as large a size as fits the box, its lines about equally long."""
    letters = face(name)
    words = letters.known(text).split() or [" "]
    best: Block | None = None
    for count in range(1, min(len(words), 6) + 1):
        lines = _balanced(words, count, letters, tracking)
        longest = max(letters.width(text, tracking=tracking) for text in lines) or 1
        cap = letters.cap_height / 1000
        size = min(largest, width / longest * 1000, height / (cap + leading * (count - 1)))
        if best is None or size > best.size * 1.02:
            best = Block(
                lines=tuple(lines),
                size=size,
                line_height=size * leading,
                cap_height=size * cap,
                name=name,
                tracking=tracking,
            )
    assert best is not None  # noqa: S101 - there is at least one word
    return best


def _balanced(words: list[str], count: int, letters: Face, tracking: int) -> list[str]:
    """The words in `count` lines whose longest is as short as can be."""
    # Sums instead of measured lines: kerning beside a space is too small to move a line break.
    space = letters.width(" ") + 2 * tracking
    ends = [0, *accumulate(letters.width(word, tracking=tracking) + space for word in words)]

    @cache
    def best(start: int, left: int) -> tuple[int, tuple[int, ...]]:
        """The longest line when the words from `start` fill `left` lines, and where each line ends."""
        if left == 1:
            return ends[-1] - ends[start], (len(words),)
        options = []
        for end in range(start + 1, len(words) - left + 2):
            rest_width, rest = best(end, left - 1)
            options.append((max(ends[end] - ends[start], rest_width), (end, *rest)))
        return min(options)

    breaks = (0, *best(0, count)[1])
    return [" ".join(words[start:end]) for start, end in pairwise(breaks)]
