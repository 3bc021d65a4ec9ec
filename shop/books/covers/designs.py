"""Which pictures and colours suit which shelf."""

from collections.abc import Callable, Sequence

from shop.books.covers import palettes, patterns, scenes, shapes
from shop.books.covers.dice import Dice
from shop.books.covers.palettes import Palette

Design = Callable[[Dice, Palette], shapes.Picture]

BY_SHELF: dict[str, tuple[Sequence[Design], Sequence[Palette]]] = {
    "fiction": (
        (scenes.hills, patterns.columns, patterns.stripe, scenes.tide, scenes.moon),
        palettes.PAPER + palettes.BOLD,
    ),
    "mystery": ((scenes.windows, scenes.beam, scenes.moon, scenes.keyhole, scenes.stairs), palettes.NIGHT),
    "science-fiction": ((scenes.saturn, scenes.orbits, patterns.strata, scenes.moon), palettes.NIGHT),
    "history": ((patterns.columns, patterns.frame, patterns.stripe), palettes.PAPER + palettes.BOLD),
    "science": ((patterns.rings, scenes.tide, scenes.orbits), palettes.PAPER + palettes.NIGHT[2:5]),
    "technology": (
        (patterns.queue, patterns.strata, patterns.tiles),
        palettes.BOLD + palettes.PAPER[3:4] + palettes.NIGHT[:1],
    ),
    "food": ((patterns.bowls, patterns.sprigs), palettes.PAPER),
    "poetry": ((patterns.stripe, patterns.sprigs, scenes.tide), palettes.PAPER + palettes.BOLD[1:3]),
    "young-readers": ((scenes.friends, patterns.kites), palettes.BRIGHT),
}
ANY_SHELF: tuple[Sequence[Design], Sequence[Palette]] = (
    (scenes.hills, scenes.tide, patterns.rings, patterns.tiles, patterns.frame, patterns.stripe, patterns.columns),
    palettes.PAPER + palettes.BOLD,
)
