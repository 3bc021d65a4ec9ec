"""The pictures. Each is a function of dice and colours, and says where its title may stand.

A cover is 320 wide and 480 high. The shapes are plain SVG, coordinates rounded to keep files small.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from shop.books.covers import lettering, palettes
from shop.books.covers.dice import Dice
from shop.books.covers.palettes import Palette

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


Design = Callable[[Dice, Palette], Picture]


def hills(dice: Dice, palette: Palette) -> Picture:
    """Hills one behind the other under a low sun."""
    sun_x, sun_y = dice.between(90, 240), dice.between(215, 260)
    shapes = [_ground(palette.ground), _circle(sun_x, sun_y, dice.between(44, 62), palette.first)]
    shades = (
        palette.third,
        palette.second,
        _mix(palette.second, palette.ink, 0.35),
        _mix(palette.ink, palette.second, 0.2),
    )
    for index, shade in enumerate(shades):
        base, swell, phase = 270 + index * 52, dice.between(14, 34), dice.between(0, 6.3)
        stretch = dice.between(0.011, 0.02)
        line = [(x, base + swell * math.sin(x * stretch + phase)) for x in range(0, WIDTH + 1, 16)]
        shapes.append(_area(line, shade))
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="garamond", colour=palette.ink, top=34, height=150, largest=52, leading=1.0),
        author=Spot(name="garamond-italic", colour=_readable_on(shades[-1]), top=440, height=18, largest=24),
    )


def tide(dice: Dice, palette: Palette) -> Picture:
    """Rows of waves that grow towards the reader."""
    shapes = [_ground(palette.ground)]
    y, step, phase = 190.0, 11.0, dice.between(0, 6.3)
    colours = (palette.second, palette.first, palette.third)
    row = 0
    while y < HEIGHT + 40:
        length, swell = 30 + row * 7, 3 + row * 1.15
        points = [(x, y + swell * math.sin(x / length * 6.283 + phase + row * 1.7)) for x in range(-4, WIDTH + 9, 4)]
        shapes.append(_stroke(points, colours[row % 3], 2 + row * 0.42))
        y, row = y + step + row * 1.1, row + 1
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="vollkorn", colour=palette.ink, top=66, height=104, largest=46, leading=0.98),
        author=Spot(name="garamond-italic", colour=palette.ink, top=34, height=17, largest=23),
    )


def rings(dice: Dice, palette: Palette) -> Picture:
    """Growth rings, or a map of something slow."""
    x, y = dice.between(60, 260), dice.between(290, 380)
    shapes = [_ground(palette.ground)]
    wobbles = [(dice.whole(2, 6), dice.between(0.02, 0.075), dice.between(0, 6.3)) for _ in range(3)]
    colours = (palette.first, palette.ink, palette.second)
    for index in range(19, 0, -1):
        radius = index * 15
        points = []
        for degree in range(0, 361, 6):
            angle = math.radians(degree)
            grown = radius * (1 + sum(size * math.sin(count * angle + phase) for count, size, phase in wobbles))
            points.append((x + grown * math.cos(angle), y + grown * math.sin(angle)))
        fill = palette.third if index == 2 else palette.first if index == 1 else "none"
        shapes.append(_stroke(points, colours[index % 3], 1.4 if index % 3 else 3.2, fill=fill))
    shapes.append(_rect(0, 0, WIDTH, 168, palette.ground))
    shapes.append(_rect(MARGIN, 168, WIDTH - 2 * MARGIN, 2, palette.ink))
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="garamond", colour=palette.ink, top=32, height=92, largest=46, leading=0.98),
        author=Spot(name="spartan", colour=palette.ink, top=141, height=13, largest=16, tracking=20),
    )


def orbits(dice: Dice, palette: Palette) -> Picture:
    """A small planetary system, seen from above."""
    x, y = dice.between(60, 260), dice.between(120, 190)
    shapes = [_ground(palette.ground)]
    for _ in range(70):
        shapes.append(_circle(dice.between(0, WIDTH), dice.between(0, 330), dice.between(0.5, 1.5), palette.ink, 0.75))
    for index in range(5):
        radius = 52 + index * 44
        shapes.append(_ring(x, y, radius, palette.ink, 0.9, 0.5))
        angle = dice.between(0.2, 2.9)
        size = dice.between(5, 17)
        shapes.append(
            _circle(
                x + radius * math.cos(angle),
                y + radius * math.sin(angle),
                size,
                (palette.third, palette.second)[index % 2],
            )
        )
    shapes.append(_circle(x, y, 30, palette.first))
    shapes.append(_fade("sky", palette.ground, 250, 330))
    return Picture(
        shapes="".join(shapes),
        title=Spot(
            name="spartan",
            colour=palette.ink,
            top=300,
            height=108,
            largest=42,
            cling="bottom",
            leading=1.02,
            tracking=-8,
        ),
        author=Spot(name="spartan", colour=palette.first, top=432, height=13, largest=17, tracking=20),
    )


def moon(dice: Dice, palette: Palette) -> Picture:
    """A great half-lit disc over a thin horizon."""
    x, y, radius = WIDTH / 2 + dice.between(-40, 40), 255.0, dice.between(96, 122)
    bite = dice.between(24, 52) * dice.pick((-1, 1))
    shapes = [
        _ground(palette.ground),
        _circle(x, y, radius + 26, palette.second, 0.5),
        _circle(x, y, radius, palette.first),
        _circle(x + bite, y - 12, radius * 0.94, palette.ground),
        _circle(x + bite, y - 12, radius * 0.94, palette.second, 0.35),
    ]
    for index in range(7):
        shapes.append(_rect(0, 352 + index * 13, WIDTH, 5.5 - index * 0.6, palette.third, 0.95 - index * 0.11))
    return Picture(
        shapes="".join(shapes),
        title=Spot(
            name="bebas", colour=palette.ink, top=30, height=104, largest=74, leading=0.86, capitals=True,
            anchor="middle", x=WIDTH / 2,
        ),
        author=Spot(
            name="bebas", colour=palette.ink, top=444, height=15, largest=21, tracking=110, capitals=True,
            anchor="middle", x=WIDTH / 2,
        ),
    )  # fmt: skip


def windows(dice: Dice, palette: Palette) -> Picture:
    """A street of houses by night; one window is lit unlike the others."""
    shapes = [_ground(palette.ground), _circle(dice.between(60, 260), dice.between(150, 190), 24, palette.ink, 0.92)]
    for depth, (shade, low) in enumerate(((_mix(palette.second, palette.ground, 0.45), 215), (palette.second, 255))):
        x = -dice.between(0, 30)
        while x < WIDTH:
            width, top = dice.whole(3, 5) * 17.0, low + dice.between(0, 75)
            shapes.append(_rect(x, top, width, HEIGHT - top, shade))
            if depth:
                shapes += _panes(dice, x, top, width, palette)
            x += width
    shapes.append(_rect(0, 408, WIDTH, 72, palette.ground))
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="bebas", colour=palette.ink, top=30, height=112, largest=66, leading=0.86, capitals=True),
        author=Spot(name="bebas", colour=palette.first, top=436, height=15, largest=21, tracking=70, capitals=True),
    )


def beam(dice: Dice, palette: Palette) -> Picture:
    """A torch's beam across a dark page, and somebody in it."""
    left = dice.pick((True, False))
    source = -20 if left else WIDTH + 20
    far, spread = (WIDTH + 30 if left else -30), dice.between(150, 190)
    aim, x = dice.between(255, 300), dice.between(110, 210)
    path = f"M{source} 395 L{far} {aim - spread:.0f} V{aim + spread * 0.55:.0f} Z"
    shapes = [
        _ground(palette.ground),
        f'<path d="{path}" fill="{palette.first}"/>',
        _circle(x, 268, 19, palette.ground),
        f'<path d="M{x - 40:.0f} 404 V340 A40 44 0 0 1 {x + 40:.0f} 340 V404 Z" fill="{palette.ground}"/>',
        _rect(x - 31, 259, 62, 5, palette.ground),
        _rect(x - 17, 240, 34, 20, palette.ground),
        _rect(0, 402, WIDTH, 78, palette.third),
    ]
    ink = _readable_on(palette.third)
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="vollkorn", colour=palette.ink, top=30, height=118, largest=46, leading=0.96),
        author=Spot(name="bebas", colour=ink, top=433, height=17, largest=25, tracking=70, capitals=True),
    )


def keyhole(dice: Dice, palette: Palette) -> Picture:
    """A door, and what can be seen through its keyhole."""
    x, y = WIDTH / 2, 292
    hole = f"M{x - 34} 404 L{x - 17} 312 A44 44 0 1 1 {x + 17} 312 L{x + 34} 404 Z"
    shapes = [_ground(palette.second), _rect(34, 168, WIDTH - 68, 312, palette.ground)]
    for inset in (10, 18):
        shapes.append(_outline(34 + inset, 168 + inset, WIDTH - 68 - 2 * inset, 340, palette.third, 1.4))
    lit = f'<path d="{hole}" fill="{palette.first}"/>'
    shapes += [_circle(x, y + 34, 104, palette.second, 0.6), lit]
    moon_x = x + dice.between(-18, 18)
    shapes += [_circle(moon_x, 270, 15, palette.ink), _rect(x - 30, 372, 60, 2, palette.ground)]
    for index in range(4):
        shapes.append(_rect(x - 20 + index * 11, 372 - dice.between(12, 46), 8, 46, palette.ground))
    shapes.append(f'<path d="M{x - 34} 404 L{x - 30} 380 H{x + 30} L{x + 34} 404 Z" fill="{palette.ground}"/>')
    shapes.append(_rect(0, 0, WIDTH, 160, palette.ground))
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="bebas", colour=palette.ink, top=30, height=104, largest=66, leading=0.86, capitals=True),
        author=Spot(
            name="bebas", colour=palette.first, top=436, height=17, largest=22, tracking=70, capitals=True, x=WIDTH / 2,
            width=190, anchor="middle",
        ),
    )  # fmt: skip


def stairs(dice: Dice, palette: Palette) -> Picture:
    """Steps going down into the dark."""
    shapes = [_ground(palette.first)]
    steps = dice.whole(7, 9)
    for index in range(steps):
        share = index / (steps - 1)
        y, x = 176 + index * (246 / steps), index * (WIDTH * 0.66 / steps)
        shapes.append(_rect(x, y, WIDTH - x + 1, HEIGHT - y, _mix(palette.third, palette.ground, share)))
        shapes.append(_rect(x, y, WIDTH - x + 1, 3, palette.ink, 0.5 - share * 0.3))
    shapes.append(_circle(dice.between(50, 84), 222, 24, palette.ink))
    shapes.append(_rect(0, 424, WIDTH, 56, palette.ground))
    ink = _readable_on(palette.first)
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="vollkorn", colour=ink, top=32, height=118, largest=46, leading=0.96),
        author=Spot(name="bebas", colour=palette.ink, top=443, height=17, largest=24, tracking=70, capitals=True),
    )


def saturn(dice: Dice, palette: Palette) -> Picture:
    """One great planet with its ring, cut by stripes."""
    x, y, radius, tilt = dice.between(120, 200), 296, dice.between(78, 96), dice.between(-28, -10) * dice.pick((1, -1))
    shapes = [_ground(palette.ground)]
    for _ in range(46):
        shapes.append(_circle(dice.between(0, WIDTH), dice.between(150, 470), dice.between(0.6, 1.6), palette.ink, 0.7))
    clip = f'<clipPath id="globe"><circle cx="{x:.1f}" cy="{y}" r="{radius:.1f}"/></clipPath>'
    bands = [_rect(x - radius, y - radius, 2 * radius, 2 * radius, palette.first)]
    band_y = y - radius
    while band_y < y + radius:
        height = dice.between(6, 18)
        bands.append(_rect(x - radius, band_y, 2 * radius, height, dice.pick((palette.third, palette.second))))
        band_y += height + dice.between(8, 22)
    turn = f'transform="rotate({tilt:.0f} {x:.0f} {y})"'
    rim_x, rim_y = radius * 1.62, radius * 0.42
    half = f"M{x - rim_x:.0f} {y} A{rim_x:.0f} {rim_y:.0f} 0 0"
    line = f'fill="none" stroke="{palette.ink}" stroke-width="7"'
    shapes.append(f'<path d="{half} 1 {x + rim_x:.0f} {y}" {line} {turn} opacity=".55"/>')
    shapes.append(f'<defs>{clip}</defs><g clip-path="url(#globe)"><g {turn}>{"".join(bands)}</g></g>')
    shapes.append(f'<path d="{half} 0 {x + rim_x:.0f} {y}" {line} {turn}/>')
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="spartan", colour=palette.ink, top=34, height=112, largest=44, leading=1.0, tracking=-10),
        author=Spot(name="spartan", colour=palette.first, top=440, height=12, largest=16, tracking=20),
    )


def tiles(dice: Dice, palette: Palette) -> Picture:
    """Quarter circles in a grid (Truchet's tiles): paths that always meet."""
    side = 40
    shapes = [_ground(palette.ground)]
    for row in range(5):
        for column in range(8):
            x, y = column * side, 240 + row * side - 14
            shapes.append(_rect(x, y, side, side, dice.pick((palette.second, palette.ground, palette.ground))))
            colour = dice.pick((palette.first, palette.ink, palette.third))
            half = side / 2
            corners = ((x, y), (x + side, y + side)) if dice.pick((True, False)) else ((x + side, y), (x, y + side))
            for corner_x, corner_y in corners:
                shapes.append(_quarter(corner_x, corner_y, half, x, y, side, colour))
    shapes.append(_rect(0, 426, WIDTH, 54, palette.ground))
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="spartan", colour=palette.ink, top=32, height=150, largest=44, leading=1.02, tracking=-10),
        author=Spot(name="spartan", colour=palette.ink, top=444, height=13, largest=17, tracking=10),
    )


def queue(dice: Dice, palette: Palette) -> Picture:
    """Boxes in rows, waiting; one of them stands out."""
    shapes = [_ground(palette.ground)]
    rows, chosen = 6, dice.whole(1, 4)
    for row in range(rows):
        y = 196 + row * 36
        count = dice.whole(3, 8)
        for index in range(count):
            x = MARGIN + index * 34
            if row == chosen and index == count - 1:
                shapes.append(_rect(x, y, 24, 24, palette.first))
            else:
                shapes.append(_rect(x, y, 24, 24, (palette.second, palette.third)[row % 2], 1 if index % 2 else 0.7))
        shapes.append(_rect(MARGIN, y + 28, WIDTH - 2 * MARGIN, 1.2, palette.ink, 0.55))
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="spartan", colour=palette.ink, top=34, height=136, largest=42, leading=1.02, tracking=-10),
        author=Spot(name="garamond-italic", colour=palette.ink, top=437, height=17, largest=23),
    )


def strata(dice: Dice, palette: Palette) -> Picture:
    """Layers of a log or of the ground: bands, each partly written."""
    shapes = [_ground(palette.ground)]
    y = 24.0
    colours = (palette.first, palette.second, palette.third)
    index = 0
    while y < 250:
        height = dice.between(7, 24)
        x = 0.0
        while x < WIDTH:
            width = dice.between(18, 120)
            if dice.between(0, 1) > 0.16:
                shapes.append(_rect(x, y, width - 3, height, colours[(index + dice.whole(0, 1)) % 3]))
            x += width
        y, index = y + height + 4, index + 1
    return Picture(
        shapes="".join(shapes),
        title=Spot(
            name="spartan",
            colour=palette.ink,
            top=286,
            height=128,
            largest=42,
            leading=1.02,
            tracking=-10,
            cling="bottom",
        ),
        author=Spot(name="spartan", colour=palette.ink, top=438, height=13, largest=17, tracking=10),
    )


def frame(dice: Dice, palette: Palette) -> Picture:
    """A printed border with a rosette, as on an old binding."""
    shapes = [_ground(palette.ground), _outline(14, 14, WIDTH - 28, HEIGHT - 28, palette.first, 5)]
    shapes.append(_outline(22, 22, WIDTH - 44, HEIGHT - 44, palette.first, 1.2))
    petals, middle_y = dice.pick((8, 10, 12, 16)), 318
    for ring, (radius, size, colour) in enumerate(
        ((74, 19, palette.second), (50, 15, palette.first), (28, 9, palette.third))
    ):
        for index in range(petals):
            angle = 360 / petals * (index + ring / 2)
            shapes.append(
                f'<ellipse cx="{WIDTH / 2}" cy="{middle_y - radius}" rx="{size * 0.52:.1f}" ry="{size}" fill="{colour}"'
                f' transform="rotate({angle:.1f} {WIDTH / 2} {middle_y})"/>'
            )
    shapes.append(_circle(WIDTH / 2, middle_y, 12, palette.ink))
    for x, y in ((30, 30), (WIDTH - 30, 30), (30, HEIGHT - 30), (WIDTH - 30, HEIGHT - 30)):
        shapes.append(f'<path d="M{x} {y - 7} L{x + 7} {y} L{x} {y + 7} L{x - 7} {y} Z" fill="{palette.first}"/>')
    return Picture(
        shapes="".join(shapes),
        title=Spot(
            name="garamond", colour=palette.ink, top=56, height=150, largest=44, leading=1.0, cling="middle",
            x=WIDTH / 2, width=WIDTH - 92, anchor="middle",
        ),
        author=Spot(
            name="garamond-italic", colour=palette.ink, top=423, height=17, largest=23, x=WIDTH / 2, width=WIDTH - 110,
            anchor="middle",
        ),
    )  # fmt: skip


def columns(dice: Dice, palette: Palette) -> Picture:
    """Arches in a row, with something different in each."""
    shapes = [_ground(palette.ground)]
    for row in range(2):
        for column in range(3):
            x, y, width, height = 26 + column * 92, 186 + row * 118, 84, 108
            colour = (palette.first, palette.second, palette.third)[(column + row * 2 + dice.whole(0, 1)) % 3]
            foot, spring = y + height, y + 42
            arch = f"M{x} {foot} V{spring} A42 42 0 0 1 {x + width} {spring} V{foot} Z"
            shapes.append(f'<path d="{arch}" fill="{colour}"/>')
            inner = dice.pick((palette.ground, palette.ink))
            kind = dice.whole(0, 3)
            if kind == 0:
                shapes.append(_circle(x + 42, y + 56, 17, inner))
            elif kind == 1:
                shapes.append(f'<path d="M{x + 16} {y + height} A26 40 0 0 1 {x + 68} {y + height} Z" fill="{inner}"/>')
            elif kind == 2:
                shapes += [_rect(x + 16 + bar * 15, y + 52, 7, height - 52, inner) for bar in range(4)]
            else:
                shapes.append(f'<path d="M{x + 42} {y + 34} L{x + 64} {y + height} H{x + 20} Z" fill="{inner}"/>')
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="vollkorn", colour=palette.ink, top=34, height=124, largest=42, leading=0.98),
        author=Spot(name="garamond-italic", colour=palette.ink, top=436, height=17, largest=23),
    )


def sprigs(dice: Dice, palette: Palette) -> Picture:
    """Leaves on stems, growing up from the foot of the page."""
    shapes = [_ground(palette.ground)]
    for stem in range(5):
        x, top, lean = 40 + stem * 60, dice.between(200, 285), dice.between(-16, 16)
        colour = (palette.first, palette.second, palette.third)[dice.whole(0, 2)]
        curve = f"M{x} {HEIGHT} Q{x} 380 {x + lean:.0f} {top:.0f}"
        shapes.append(f'<path d="{curve}" fill="none" stroke="{palette.ink}" stroke-width="1.6"/>')
        steps = dice.whole(5, 8)
        for step in range(steps):
            share = step / steps
            y = top + (425 - top) * share
            leaf_x = x + lean * (1 - share) ** 2
            size = 12 + 9 * math.sin(math.pi * (0.25 + share * 0.7))
            for side in (-1, 1):
                shapes.append(_leaf(leaf_x, y + 5, size * side, colour))
        shapes.append(_circle(x + lean, top - 5, 5, palette.first))
    return Picture(
        shapes="".join(shapes),
        title=Spot(
            name="vollkorn",
            colour=palette.ink,
            top=52,
            height=116,
            largest=44,
            leading=0.98,
            anchor="middle",
            x=WIDTH / 2,
        ),
        author=Spot(
            name="garamond-italic", colour=palette.ink, top=26, height=17, largest=23, anchor="middle", x=WIDTH / 2
        ),
    )


def bowls(dice: Dice, palette: Palette) -> Picture:
    """Round things on a table, from above."""
    shapes = [_ground(palette.ground)]
    places = ((94, 258, 74), (236, 236, 52), (222, 356, 70), (88, 394, 50))
    for x, y, radius in places:
        colours = [palette.first, palette.second, palette.third]
        outer = colours.pop(dice.whole(0, 2))
        inner = colours.pop(dice.whole(0, 1))
        shapes += [
            _circle(x, y, radius, outer),
            _circle(x, y, radius * 0.78, palette.ground),
            _circle(x, y, radius * 0.7, inner),
        ]
        for index in range(dice.whole(4, 9)):
            angle = dice.between(0, 6.28)
            far = radius * dice.between(0.08, 0.52)
            shapes.append(
                _circle(
                    x + far * math.cos(angle),
                    y + far * math.sin(angle),
                    3.5 + index % 3 * 1.7,
                    (colours[0], palette.ink)[index % 2],
                )
            )
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="vollkorn", colour=palette.ink, top=32, height=108, largest=50, leading=0.96),
        author=Spot(name="spartan", colour=palette.ink, top=449, height=12, largest=16, tracking=10),
    )


def friends(dice: Dice, palette: Palette) -> Picture:
    """Big soft shapes with eyes."""
    shapes = [_ground(palette.ground)]
    bodies = (
        (dice.between(60, 110), dice.between(86, 108), palette.first),
        (dice.between(205, 255), dice.between(70, 96), palette.second),
        (dice.between(140, 180), dice.between(54, 70), palette.third),
    )
    for x, radius, colour in bodies:
        top = 452 - radius * dice.between(1.55, 2.25)
        shapes.append(
            f'<path d="M{x - radius:.0f} {HEIGHT} V{top + radius:.0f} A{radius:.0f} {radius:.0f} 0 0 1 {x + radius:.0f}'
            f' {top + radius:.0f} V{HEIGHT} Z" fill="{colour}"/>'
        )
        eye_y, look = top + radius * 0.85, dice.between(-3, 3)
        for side in (-1, 1):
            eye_x = x + side * radius * 0.32
            shapes += [
                _circle(eye_x, eye_y, radius * 0.17, "#fffdf8"),
                _circle(eye_x + look, eye_y + 1.5, radius * 0.08, palette.ink),
            ]
        smile = radius * 0.3
        shapes.append(
            f'<path d="M{x - smile:.0f} {eye_y + radius * 0.34:.0f} q{smile:.0f} {radius * 0.3:.0f} {smile * 2:.0f} 0"'
            f' fill="none" stroke="{palette.ink}" stroke-width="3" stroke-linecap="round"/>'
        )
    return Picture(
        shapes="".join(shapes),
        title=Spot(
            name="vollkorn",
            colour=palette.ink,
            top=58,
            height=128,
            largest=50,
            leading=0.96,
            anchor="middle",
            x=WIDTH / 2,
        ),
        author=Spot(name="spartan", colour=palette.ink, top=28, height=13, largest=17, anchor="middle", x=WIDTH / 2),
    )


def kites(dice: Dice, palette: Palette) -> Picture:
    """Triangles tumbling down a bright page."""
    shapes = [_ground(palette.ground)]
    for index in range(30):
        x, y, size = dice.between(-10, WIDTH + 10), dice.between(190, 425), dice.between(14, 52)
        turn = dice.between(0, 360)
        colour = (palette.first, palette.second, palette.third, palette.ink)[index % 4]
        shapes.append(
            f'<path d="M0 {-size:.0f} L{size * 0.87:.0f} {size / 2:.0f} L{-size * 0.87:.0f} {size / 2:.0f} Z"'
            f' transform="translate({x:.0f} {y:.0f}) rotate({turn:.0f})" fill="{colour}" opacity="0.92"/>'
        )
    shapes.append(_rect(0, 430, WIDTH, 50, palette.ink))
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="spartan", colour=palette.ink, top=32, height=134, largest=46, leading=1.0, tracking=-12),
        author=Spot(name="spartan", colour=palette.ground, top=449, height=12, largest=15, tracking=10),
    )


def stripe(dice: Dice, palette: Palette) -> Picture:
    """Almost nothing: a band of colour and room to breathe."""
    x, width = dice.between(190, 240), dice.between(18, 46)
    shapes = [
        _ground(palette.ground),
        _rect(x, 0, width, HEIGHT, palette.first),
        _rect(x + width + 8, 0, 5, HEIGHT, palette.second),
        _circle(x + width / 2, dice.between(120, 190), dice.between(30, 44), palette.third),
        _rect(0, 262, WIDTH, 150, palette.ground),
    ]
    return Picture(
        shapes="".join(shapes),
        title=Spot(name="garamond-italic", colour=palette.ink, top=286, height=104, largest=46, leading=0.98),
        author=Spot(name="garamond", colour=palette.ink, top=437, height=17, largest=23),
    )


# What suits which shelf; a shelf that is not listed may have any of them.
BY_SHELF: dict[str, tuple[Sequence[Design], Sequence[Palette]]] = {
    "fiction": ((hills, columns, stripe, tide, moon), palettes.PAPER + palettes.BOLD),
    "mystery": ((windows, beam, moon, keyhole, stairs), palettes.NIGHT),
    "science-fiction": ((saturn, orbits, strata, moon), palettes.NIGHT),
    "history": ((columns, frame, stripe), palettes.PAPER + palettes.BOLD),
    "science": ((rings, tide, orbits), palettes.PAPER + palettes.NIGHT[2:5]),
    "technology": ((queue, strata, tiles), palettes.BOLD + palettes.PAPER[3:4] + palettes.NIGHT[:1]),
    "food": ((bowls, sprigs), palettes.PAPER),
    "poetry": ((stripe, sprigs, tide), palettes.PAPER + palettes.BOLD[1:3]),
    "young-readers": ((friends, kites), palettes.BRIGHT),
}
ANY_SHELF: tuple[Sequence[Design], Sequence[Palette]] = (
    (hills, tide, rings, tiles, frame, stripe, columns),
    palettes.PAPER + palettes.BOLD,
)


def _ground(colour: str) -> str:
    return _rect(0, 0, WIDTH, HEIGHT, colour)


def _rect(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1) -> str:
    faded = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"{faded}/>'


def _outline(x: float, y: float, width: float, height: float, colour: str, thickness: float) -> str:
    line = f'fill="none" stroke="{colour}" stroke-width="{thickness}"'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" {line}/>'


def _circle(x: float, y: float, radius: float, colour: str, opacity: float = 1) -> str:
    faded = "" if opacity >= 1 else f' opacity="{opacity:.2f}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}"{faded}/>'


def _ring(x: float, y: float, radius: float, colour: str, thickness: float, opacity: float) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="none" stroke="{colour}" stroke-width="{thickness}"'
        f' opacity="{opacity}"/>'
    )


def _stroke(points: Sequence[tuple[float, float]], colour: str, thickness: float, *, fill: str = "none") -> str:
    path = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="{fill}" stroke="{colour}" stroke-width="{thickness:.1f}"/>'


def _area(line: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"L{x:.0f} {y:.1f}" for x, y in line)
    return f'<path d="M0 {HEIGHT} {path} L{WIDTH} {HEIGHT} Z" fill="{colour}"/>'


def _leaf(x: float, y: float, size: float, colour: str) -> str:
    length, lift = size * 1.25, abs(size) * 0.8
    return (
        f'<path d="M{x:.1f} {y:.1f} q{length * 0.2:.1f} {-lift:.1f} {length:.1f} {-lift:.1f}'
        f' q{-length * 0.1:.1f} {lift * 0.9:.1f} {-length:.1f} {lift:.1f} Z" fill="{colour}"/>'
    )


def _quarter(corner_x: float, corner_y: float, radius: float, x: float, y: float, side: float, colour: str) -> str:
    """A quarter of a circle about a corner of the tile at (x, y), drawn as a line inside the tile."""
    step_x, step_y = (radius if corner_x == x else -radius), (radius if corner_y == y else -radius)
    sweep = 1 if (step_x > 0) == (step_y > 0) else 0
    return (
        f'<path d="M{corner_x + step_x:.0f} {corner_y:.0f} A{radius:.0f} {radius:.0f} 0 0 {sweep} {corner_x:.0f}'
        f' {corner_y + step_y:.0f}" fill="none" stroke="{colour}" stroke-width="{side * 0.2:.0f}"/>'
    )


def _panes(dice: Dice, x: float, top: float, width: float, palette: Palette) -> list[str]:
    panes = []
    for row in range(int((400 - top) // 24)):
        for column in range(int(width // 17)):
            luck = dice.between(0, 1)
            colour = palette.first if luck > 0.72 else palette.third if luck > 0.68 else palette.ground
            panes.append(_rect(x + 4 + column * 17, top + 10 + row * 24, 9, 13, colour))
    return panes


def _fade(name: str, colour: str, start: float, end: float) -> str:
    """From see-through at `start` to the colour at `end` and below, so that words can be read there."""
    return (
        f'<defs><linearGradient id="{name}" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{colour}" stop-opacity="0"/>'
        f'<stop offset="1" stop-color="{colour}"/></linearGradient></defs>'
        f'<rect x="0" y="{start}" width="{WIDTH}" height="{end - start}" fill="url(#{name})"/>'
        + _rect(0, end - 1, WIDTH, HEIGHT - end + 1, colour)
    )


def _mix(one: str, other: str, share: float) -> str:
    """A colour on the way from one to the other."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _readable_on(colour: str) -> str:
    """Near-white or near-black, whichever stands out (relative luminance, WCAG 2)."""
    linear = [(c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in _channels(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#1d1a17" if luminance > 0.18 else "#fdf6e9"


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
