"""Pictures of something: landscapes, skies, houses. Each is a function of dice and colours."""

import math

from shop.books.covers import shapes
from shop.books.covers.dice import Dice
from shop.books.covers.palettes import Palette


def hills(dice: Dice, palette: Palette) -> shapes.Picture:
    """Hills one behind the other under a low sun."""
    sun_x, sun_y = dice.between(90, 240), dice.between(215, 260)
    drawn = [shapes.ground(palette.ground), shapes.circle(sun_x, sun_y, dice.between(44, 62), palette.first)]
    shades = (
        palette.third,
        palette.second,
        shapes.mix(palette.second, palette.ink, 0.35),
        shapes.mix(palette.ink, palette.second, 0.2),
    )
    for index, shade in enumerate(shades):
        base, swell, phase = 270 + index * 52, dice.between(14, 34), dice.between(0, 6.3)
        stretch = dice.between(0.011, 0.02)
        line = [(x, base + swell * math.sin(x * stretch + phase)) for x in range(0, shapes.WIDTH + 1, 16)]
        drawn.append(shapes.area(line, shade))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="garamond", colour=palette.ink, top=34, height=150, largest=52, leading=1.0),
        author=shapes.Spot(
            name="garamond-italic", colour=shapes.readable_on(shades[-1]), top=440, height=18, largest=24
        ),
    )


def tide(dice: Dice, palette: Palette) -> shapes.Picture:
    """Rows of waves that grow towards the reader."""
    drawn = [shapes.ground(palette.ground)]
    y, step, phase = 190.0, 11.0, dice.between(0, 6.3)
    colours = (palette.second, palette.first, palette.third)
    row = 0
    while y < shapes.HEIGHT + 40:
        length, swell = 30 + row * 7, 3 + row * 1.15
        points = [
            (x, y + swell * math.sin(x / length * 6.283 + phase + row * 1.7)) for x in range(-4, shapes.WIDTH + 9, 4)
        ]
        drawn.append(shapes.stroke(points, colours[row % 3], 2 + row * 0.42))
        y, row = y + step + row * 1.1, row + 1
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="vollkorn", colour=palette.ink, top=66, height=104, largest=46, leading=0.98),
        author=shapes.Spot(name="garamond-italic", colour=palette.ink, top=34, height=17, largest=23),
    )


def moon(dice: Dice, palette: Palette) -> shapes.Picture:
    """A great half-lit disc over a thin horizon."""
    x, y, radius = shapes.WIDTH / 2 + dice.between(-40, 40), 255.0, dice.between(96, 122)
    bite = dice.between(24, 52) * dice.pick((-1, 1))
    drawn = [
        shapes.ground(palette.ground),
        shapes.circle(x, y, radius + 26, palette.second, 0.5),
        shapes.circle(x, y, radius, palette.first),
        shapes.circle(x + bite, y - 12, radius * 0.94, palette.ground),
        shapes.circle(x + bite, y - 12, radius * 0.94, palette.second, 0.35),
    ]
    for index in range(7):
        drawn.append(
            shapes.rect(0, 352 + index * 13, shapes.WIDTH, 5.5 - index * 0.6, palette.third, 0.95 - index * 0.11)
        )
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="bebas", colour=palette.ink, top=30, height=104, largest=74, leading=0.86, capitals=True,
            anchor="middle", x=shapes.WIDTH / 2,
        ),
        author=shapes.Spot(
            name="bebas", colour=palette.ink, top=444, height=15, largest=21, tracking=110, capitals=True,
            anchor="middle", x=shapes.WIDTH / 2,
        ),
    )  # fmt: skip


def windows(dice: Dice, palette: Palette) -> shapes.Picture:
    """A street of houses by night; one window is lit unlike the others."""
    drawn = [
        shapes.ground(palette.ground),
        shapes.circle(dice.between(60, 260), dice.between(150, 190), 24, palette.ink, 0.92),
    ]
    for depth, (shade, low) in enumerate(
        ((shapes.mix(palette.second, palette.ground, 0.45), 215), (palette.second, 255))
    ):
        x = -dice.between(0, 30)
        while x < shapes.WIDTH:
            width, top = dice.whole(3, 5) * 17.0, low + dice.between(0, 75)
            drawn.append(shapes.rect(x, top, width, shapes.HEIGHT - top, shade))
            if depth:
                drawn += _panes(dice, x, top, width, palette)
            x += width
    drawn.append(shapes.rect(0, 408, shapes.WIDTH, 72, palette.ground))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="bebas", colour=palette.ink, top=30, height=112, largest=66, leading=0.86, capitals=True
        ),
        author=shapes.Spot(
            name="bebas", colour=palette.first, top=436, height=15, largest=21, tracking=70, capitals=True
        ),
    )


def beam(dice: Dice, palette: Palette) -> shapes.Picture:
    """A torch's beam across a dark page, and somebody in it."""
    left = dice.pick((True, False))
    source = -20 if left else shapes.WIDTH + 20
    far, spread = (shapes.WIDTH + 30 if left else -30), dice.between(150, 190)
    aim, x = dice.between(255, 300), dice.between(110, 210)
    path = f"M{source} 395 L{far} {aim - spread:.0f} V{aim + spread * 0.55:.0f} Z"
    drawn = [
        shapes.ground(palette.ground),
        f'<path d="{path}" fill="{palette.first}"/>',
        shapes.circle(x, 268, 19, palette.ground),
        f'<path d="M{x - 40:.0f} 404 V340 A40 44 0 0 1 {x + 40:.0f} 340 V404 Z" fill="{palette.ground}"/>',
        shapes.rect(x - 31, 259, 62, 5, palette.ground),
        shapes.rect(x - 17, 240, 34, 20, palette.ground),
        shapes.rect(0, 402, shapes.WIDTH, 78, palette.third),
    ]
    ink = shapes.readable_on(palette.third)
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="vollkorn", colour=palette.ink, top=30, height=118, largest=46, leading=0.96),
        author=shapes.Spot(name="bebas", colour=ink, top=433, height=17, largest=25, tracking=70, capitals=True),
    )


def keyhole(dice: Dice, palette: Palette) -> shapes.Picture:
    """A door, and what can be seen through its keyhole."""
    x, y = shapes.WIDTH / 2, 292
    hole = f"M{x - 34} 404 L{x - 17} 312 A44 44 0 1 1 {x + 17} 312 L{x + 34} 404 Z"
    drawn = [shapes.ground(palette.second), shapes.rect(34, 168, shapes.WIDTH - 68, 312, palette.ground)]
    for inset in (10, 18):
        drawn.append(shapes.outline(34 + inset, 168 + inset, shapes.WIDTH - 68 - 2 * inset, 340, palette.third, 1.4))
    lit = f'<path d="{hole}" fill="{palette.first}"/>'
    drawn += [shapes.circle(x, y + 34, 104, palette.second, 0.6), lit]
    moon_x = x + dice.between(-18, 18)
    drawn += [shapes.circle(moon_x, 270, 15, palette.ink), shapes.rect(x - 30, 372, 60, 2, palette.ground)]
    for index in range(4):
        drawn.append(shapes.rect(x - 20 + index * 11, 372 - dice.between(12, 46), 8, 46, palette.ground))
    drawn.append(f'<path d="M{x - 34} 404 L{x - 30} 380 H{x + 30} L{x + 34} 404 Z" fill="{palette.ground}"/>')
    drawn.append(shapes.rect(0, 0, shapes.WIDTH, 160, palette.ground))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="bebas", colour=palette.ink, top=30, height=104, largest=66, leading=0.86, capitals=True
        ),
        author=shapes.Spot(
            name="bebas", colour=palette.first, top=436, height=17, largest=22, tracking=70, capitals=True,
            x=shapes.WIDTH / 2, width=190, anchor="middle",
        ),
    )  # fmt: skip


def stairs(dice: Dice, palette: Palette) -> shapes.Picture:
    """Steps going down into the dark."""
    drawn = [shapes.ground(palette.first)]
    steps = dice.whole(7, 9)
    for index in range(steps):
        share = index / (steps - 1)
        y, x = 176 + index * (246 / steps), index * (shapes.WIDTH * 0.66 / steps)
        drawn.append(
            shapes.rect(x, y, shapes.WIDTH - x + 1, shapes.HEIGHT - y, shapes.mix(palette.third, palette.ground, share))
        )
        drawn.append(shapes.rect(x, y, shapes.WIDTH - x + 1, 3, palette.ink, 0.5 - share * 0.3))
    drawn.append(shapes.circle(dice.between(50, 84), 222, 24, palette.ink))
    drawn.append(shapes.rect(0, 424, shapes.WIDTH, 56, palette.ground))
    ink = shapes.readable_on(palette.first)
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="vollkorn", colour=ink, top=32, height=118, largest=46, leading=0.96),
        author=shapes.Spot(
            name="bebas", colour=palette.ink, top=443, height=17, largest=24, tracking=70, capitals=True
        ),
    )


def saturn(dice: Dice, palette: Palette) -> shapes.Picture:
    """One great planet with its ring, cut by stripes."""
    x, y, radius, tilt = dice.between(120, 200), 296, dice.between(78, 96), dice.between(-28, -10) * dice.pick((1, -1))
    drawn = [shapes.ground(palette.ground)]
    for _ in range(46):
        drawn.append(
            shapes.circle(
                dice.between(0, shapes.WIDTH), dice.between(150, 470), dice.between(0.6, 1.6), palette.ink, 0.7
            )
        )
    clip = f'<clipPath id="globe"><circle cx="{x:.1f}" cy="{y}" r="{radius:.1f}"/></clipPath>'
    bands = [shapes.rect(x - radius, y - radius, 2 * radius, 2 * radius, palette.first)]
    band_y = y - radius
    while band_y < y + radius:
        height = dice.between(6, 18)
        bands.append(shapes.rect(x - radius, band_y, 2 * radius, height, dice.pick((palette.third, palette.second))))
        band_y += height + dice.between(8, 22)
    turn = f'transform="rotate({tilt:.0f} {x:.0f} {y})"'
    rim_x, rim_y = radius * 1.62, radius * 0.42
    half = f"M{x - rim_x:.0f} {y} A{rim_x:.0f} {rim_y:.0f} 0 0"
    line = f'fill="none" stroke="{palette.ink}" stroke-width="7"'
    drawn.append(f'<path d="{half} 1 {x + rim_x:.0f} {y}" {line} {turn} opacity=".55"/>')
    drawn.append(f'<defs>{clip}</defs><g clip-path="url(#globe)"><g {turn}>{"".join(bands)}</g></g>')
    drawn.append(f'<path d="{half} 0 {x + rim_x:.0f} {y}" {line} {turn}/>')
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="spartan", colour=palette.ink, top=34, height=112, largest=44, leading=1.0, tracking=-10
        ),
        author=shapes.Spot(name="spartan", colour=palette.first, top=440, height=12, largest=16, tracking=20),
    )


def orbits(dice: Dice, palette: Palette) -> shapes.Picture:
    """A small planetary system, seen from above."""
    x, y = dice.between(60, 260), dice.between(120, 190)
    drawn = [shapes.ground(palette.ground)]
    for _ in range(70):
        drawn.append(
            shapes.circle(
                dice.between(0, shapes.WIDTH), dice.between(0, 330), dice.between(0.5, 1.5), palette.ink, 0.75
            )
        )
    for index in range(5):
        radius = 52 + index * 44
        drawn.append(shapes.ring(x, y, radius, palette.ink, 0.9, 0.5))
        angle = dice.between(0.2, 2.9)
        size = dice.between(5, 17)
        drawn.append(
            shapes.circle(
                x + radius * math.cos(angle),
                y + radius * math.sin(angle),
                size,
                (palette.third, palette.second)[index % 2],
            )
        )
    drawn.append(shapes.circle(x, y, 30, palette.first))
    drawn.append(shapes.fade("sky", palette.ground, 250, 330))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="spartan",
            colour=palette.ink,
            top=300,
            height=108,
            largest=42,
            cling="bottom",
            leading=1.02,
            tracking=-8,
        ),
        author=shapes.Spot(name="spartan", colour=palette.first, top=432, height=13, largest=17, tracking=20),
    )


def friends(dice: Dice, palette: Palette) -> shapes.Picture:
    """Big soft drawn with eyes."""
    drawn = [shapes.ground(palette.ground)]
    bodies = (
        (dice.between(60, 110), dice.between(86, 108), palette.first),
        (dice.between(205, 255), dice.between(70, 96), palette.second),
        (dice.between(140, 180), dice.between(54, 70), palette.third),
    )
    for x, radius, colour in bodies:
        top = 452 - radius * dice.between(1.55, 2.25)
        drawn.append(
            f'<path d="M{x - radius:.0f} {shapes.HEIGHT} V{top + radius:.0f}'
            f" A{radius:.0f} {radius:.0f} 0 0 1 {x + radius:.0f}"
            f' {top + radius:.0f} V{shapes.HEIGHT} Z" fill="{colour}"/>'
        )
        eye_y, look = top + radius * 0.85, dice.between(-3, 3)
        for side in (-1, 1):
            eye_x = x + side * radius * 0.32
            drawn += [
                shapes.circle(eye_x, eye_y, radius * 0.17, "#fffdf8"),
                shapes.circle(eye_x + look, eye_y + 1.5, radius * 0.08, palette.ink),
            ]
        smile = radius * 0.3
        drawn.append(
            f'<path d="M{x - smile:.0f} {eye_y + radius * 0.34:.0f} q{smile:.0f} {radius * 0.3:.0f} {smile * 2:.0f} 0"'
            f' fill="none" stroke="{palette.ink}" stroke-width="3" stroke-linecap="round"/>'
        )
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="vollkorn",
            colour=palette.ink,
            top=58,
            height=128,
            largest=50,
            leading=0.96,
            anchor="middle",
            x=shapes.WIDTH / 2,
        ),
        author=shapes.Spot(
            name="spartan", colour=palette.ink, top=28, height=13, largest=17, anchor="middle", x=shapes.WIDTH / 2
        ),
    )


def _panes(dice: Dice, x: float, top: float, width: float, palette: Palette) -> list[str]:
    panes = []
    for row in range(int((400 - top) // 24)):
        for column in range(int(width // 17)):
            luck = dice.between(0, 1)
            colour = palette.first if luck > 0.72 else palette.third if luck > 0.68 else palette.ground
            panes.append(shapes.rect(x + 4 + column * 17, top + 10 + row * 24, 9, 13, colour))
    return panes
