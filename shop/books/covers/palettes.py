"""Colours that go together: a ground, an ink that reads well on it, and three more for the picture."""

from typing import NamedTuple


class Palette(NamedTuple):
    """Five colours as #rrggbb."""

    ground: str
    ink: str
    first: str
    second: str
    third: str


NIGHT = (
    Palette("#14213d", "#fdf0d5", "#fca311", "#2f4a7c", "#e07a5f"),
    Palette("#1b1b2f", "#f8f1e5", "#e43f5a", "#1f4068", "#f2c14e"),
    Palette("#0f3d3e", "#f6efdf", "#e2b659", "#1d5c5d", "#e4795a"),
    Palette("#2b1b2e", "#f7ead9", "#f0a868", "#54344f", "#d65a6f"),
    Palette("#22223b", "#f2e9e4", "#c9ada7", "#4a4e69", "#f4a261"),
    Palette("#1d2b24", "#f3eedb", "#c8d96f", "#355244", "#e9b44c"),
)
PAPER = (
    Palette("#f3e9d8", "#2a2320", "#b23a2e", "#d9a441", "#2f5d62"),
    Palette("#ece5d3", "#22302c", "#3a6b5c", "#d98e5f", "#c9be9b"),
    Palette("#f6ede3", "#2d1f3d", "#6b4e9b", "#e3a3a0", "#d8b45b"),
    Palette("#e9edea", "#1c2b39", "#2f6690", "#e07a5f", "#b9c9c8"),
    Palette("#f7efe0", "#3b1f1f", "#8c2f39", "#e0b15e", "#5b7a6b"),
)
BRIGHT = (
    Palette("#ffd166", "#1d2a44", "#ef476f", "#118ab2", "#fff4d6"),
    Palette("#8ecae6", "#102a43", "#fb8500", "#ffb703", "#f4fbff"),
    Palette("#ff9f80", "#2b1a33", "#6a4c93", "#ffe66d", "#fff2ea"),
    Palette("#a7d49b", "#16302b", "#f25f5c", "#ffe066", "#f7fff3"),
)
BOLD = (
    Palette("#c8372d", "#fff3e2", "#1f1a24", "#f2b33d", "#8d1f1b"),
    Palette("#1f6f78", "#fff6e6", "#f4b942", "#123f45", "#ef6f53"),
    Palette("#e3a72f", "#231a12", "#7a2e1d", "#1f4e5f", "#fbe7b8"),
    Palette("#34559b", "#fdf6e3", "#f2c14e", "#1e3264", "#f08a5d"),
    Palette("#5b3a70", "#fbeedd", "#e9a44c", "#38224a", "#d9637a"),
)
