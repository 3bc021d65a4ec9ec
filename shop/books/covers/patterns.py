"""Pictures of nothing in particular: lines, tiles, ornaments. Each is a function of dice and colours."""

import math

from shop.books.covers import shapes
from shop.books.covers.dice import Dice
from shop.books.covers.palettes import Palette


def rings(dice: Dice, palette: Palette) -> shapes.Picture:
    """Growth rings, or a map of something slow."""
    x, y = dice.between(60, 260), dice.between(290, 380)
    drawn = [shapes.ground(palette.ground)]
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
        drawn.append(shapes.stroke(points, colours[index % 3], 1.4 if index % 3 else 3.2, fill=fill))
    drawn.append(shapes.rect(0, 0, shapes.WIDTH, 168, palette.ground))
    drawn.append(shapes.rect(shapes.MARGIN, 168, shapes.WIDTH - 2 * shapes.MARGIN, 2, palette.ink))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="garamond", colour=palette.ink, top=32, height=92, largest=46, leading=0.98),
        author=shapes.Spot(name="spartan", colour=palette.ink, top=141, height=13, largest=16, tracking=20),
    )


def tiles(dice: Dice, palette: Palette) -> shapes.Picture:
    """Quarter circles in a grid (Truchet's tiles): paths that always meet."""
    side = 40
    drawn = [shapes.ground(palette.ground)]
    for row in range(5):
        for column in range(8):
            x, y = column * side, 240 + row * side - 14
            drawn.append(shapes.rect(x, y, side, side, dice.pick((palette.second, palette.ground, palette.ground))))
            colour = dice.pick((palette.first, palette.ink, palette.third))
            half = side / 2
            corners = ((x, y), (x + side, y + side)) if dice.pick((True, False)) else ((x + side, y), (x, y + side))
            for corner_x, corner_y in corners:
                drawn.append(shapes.quarter(corner_x, corner_y, half, x, y, side, colour))
    drawn.append(shapes.rect(0, 426, shapes.WIDTH, 54, palette.ground))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="spartan", colour=palette.ink, top=32, height=150, largest=44, leading=1.02, tracking=-10
        ),
        author=shapes.Spot(name="spartan", colour=palette.ink, top=444, height=13, largest=17, tracking=10),
    )


def queue(dice: Dice, palette: Palette) -> shapes.Picture:
    """Boxes in rows, waiting; one of them stands out."""
    drawn = [shapes.ground(palette.ground)]
    rows, chosen = 6, dice.whole(1, 4)
    for row in range(rows):
        y = 196 + row * 36
        count = dice.whole(3, 8)
        for index in range(count):
            x = shapes.MARGIN + index * 34
            if row == chosen and index == count - 1:
                drawn.append(shapes.rect(x, y, 24, 24, palette.first))
            else:
                drawn.append(
                    shapes.rect(x, y, 24, 24, (palette.second, palette.third)[row % 2], 1 if index % 2 else 0.7)
                )
        drawn.append(shapes.rect(shapes.MARGIN, y + 28, shapes.WIDTH - 2 * shapes.MARGIN, 1.2, palette.ink, 0.55))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="spartan", colour=palette.ink, top=34, height=136, largest=42, leading=1.02, tracking=-10
        ),
        author=shapes.Spot(name="garamond-italic", colour=palette.ink, top=437, height=17, largest=23),
    )


def strata(dice: Dice, palette: Palette) -> shapes.Picture:
    """Layers of a log or of the ground: bands, each partly written."""
    drawn = [shapes.ground(palette.ground)]
    y = 24.0
    colours = (palette.first, palette.second, palette.third)
    index = 0
    while y < 250:
        height = dice.between(7, 24)
        x = 0.0
        while x < shapes.WIDTH:
            width = dice.between(18, 120)
            if dice.between(0, 1) > 0.16:
                drawn.append(shapes.rect(x, y, width - 3, height, colours[(index + dice.whole(0, 1)) % 3]))
            x += width
        y, index = y + height + 4, index + 1
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="spartan",
            colour=palette.ink,
            top=286,
            height=128,
            largest=42,
            leading=1.02,
            tracking=-10,
            cling="bottom",
        ),
        author=shapes.Spot(name="spartan", colour=palette.ink, top=438, height=13, largest=17, tracking=10),
    )


def frame(dice: Dice, palette: Palette) -> shapes.Picture:
    """A printed border with a rosette, as on an old binding."""
    drawn = [
        shapes.ground(palette.ground),
        shapes.outline(14, 14, shapes.WIDTH - 28, shapes.HEIGHT - 28, palette.first, 5),
    ]
    drawn.append(shapes.outline(22, 22, shapes.WIDTH - 44, shapes.HEIGHT - 44, palette.first, 1.2))
    petals, middle_y = dice.pick((8, 10, 12, 16)), 318
    for ring, (radius, size, colour) in enumerate(
        ((74, 19, palette.second), (50, 15, palette.first), (28, 9, palette.third))
    ):
        for index in range(petals):
            angle = 360 / petals * (index + ring / 2)
            drawn.append(
                f'<ellipse cx="{shapes.WIDTH / 2}" cy="{middle_y - radius}" rx="{size * 0.52:.1f}" ry="{size}"'
                f' fill="{colour}"'
                f' transform="rotate({angle:.1f} {shapes.WIDTH / 2} {middle_y})"/>'
            )
    drawn.append(shapes.circle(shapes.WIDTH / 2, middle_y, 12, palette.ink))
    for x, y in ((30, 30), (shapes.WIDTH - 30, 30), (30, shapes.HEIGHT - 30), (shapes.WIDTH - 30, shapes.HEIGHT - 30)):
        drawn.append(f'<path d="M{x} {y - 7} L{x + 7} {y} L{x} {y + 7} L{x - 7} {y} Z" fill="{palette.first}"/>')
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="garamond", colour=palette.ink, top=56, height=150, largest=44, leading=1.0, cling="middle",
            x=shapes.WIDTH / 2, width=shapes.WIDTH - 92, anchor="middle",
        ),
        author=shapes.Spot(
            name="garamond-italic", colour=palette.ink, top=423, height=17, largest=23, x=shapes.WIDTH / 2,
            width=shapes.WIDTH - 110, anchor="middle",
        ),
    )  # fmt: skip


def columns(dice: Dice, palette: Palette) -> shapes.Picture:
    """Arches in a row, with something different in each."""
    drawn = [shapes.ground(palette.ground)]
    for row in range(2):
        for column in range(3):
            x, y, width, height = 26 + column * 92, 186 + row * 118, 84, 108
            colour = (palette.first, palette.second, palette.third)[(column + row * 2 + dice.whole(0, 1)) % 3]
            foot, spring = y + height, y + 42
            arch = f"M{x} {foot} V{spring} A42 42 0 0 1 {x + width} {spring} V{foot} Z"
            drawn.append(f'<path d="{arch}" fill="{colour}"/>')
            inner = dice.pick((palette.ground, palette.ink))
            kind = dice.whole(0, 3)
            if kind == 0:
                drawn.append(shapes.circle(x + 42, y + 56, 17, inner))
            elif kind == 1:
                drawn.append(f'<path d="M{x + 16} {y + height} A26 40 0 0 1 {x + 68} {y + height} Z" fill="{inner}"/>')
            elif kind == 2:
                drawn += [shapes.rect(x + 16 + bar * 15, y + 52, 7, height - 52, inner) for bar in range(4)]
            else:
                drawn.append(f'<path d="M{x + 42} {y + 34} L{x + 64} {y + height} H{x + 20} Z" fill="{inner}"/>')
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="vollkorn", colour=palette.ink, top=34, height=124, largest=42, leading=0.98),
        author=shapes.Spot(name="garamond-italic", colour=palette.ink, top=436, height=17, largest=23),
    )


def sprigs(dice: Dice, palette: Palette) -> shapes.Picture:
    """Leaves on stems, growing up from the foot of the page."""
    drawn = [shapes.ground(palette.ground)]
    for stem in range(5):
        x, top, lean = 40 + stem * 60, dice.between(200, 285), dice.between(-16, 16)
        colour = (palette.first, palette.second, palette.third)[dice.whole(0, 2)]
        curve = f"M{x} {shapes.HEIGHT} Q{x} 380 {x + lean:.0f} {top:.0f}"
        drawn.append(f'<path d="{curve}" fill="none" stroke="{palette.ink}" stroke-width="1.6"/>')
        steps = dice.whole(5, 8)
        for step in range(steps):
            share = step / steps
            y = top + (425 - top) * share
            leaf_x = x + lean * (1 - share) ** 2
            size = 12 + 9 * math.sin(math.pi * (0.25 + share * 0.7))
            for side in (-1, 1):
                drawn.append(shapes.leaf(leaf_x, y + 5, size * side, colour))
        drawn.append(shapes.circle(x + lean, top - 5, 5, palette.first))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="vollkorn",
            colour=palette.ink,
            top=52,
            height=116,
            largest=44,
            leading=0.98,
            anchor="middle",
            x=shapes.WIDTH / 2,
        ),
        author=shapes.Spot(
            name="garamond-italic",
            colour=palette.ink,
            top=26,
            height=17,
            largest=23,
            anchor="middle",
            x=shapes.WIDTH / 2,
        ),
    )


def bowls(dice: Dice, palette: Palette) -> shapes.Picture:
    """Round things on a table, from above."""
    drawn = [shapes.ground(palette.ground)]
    places = ((94, 258, 74), (236, 236, 52), (222, 356, 70), (88, 394, 50))
    for x, y, radius in places:
        colours = [palette.first, palette.second, palette.third]
        outer = colours.pop(dice.whole(0, 2))
        inner = colours.pop(dice.whole(0, 1))
        drawn += [
            shapes.circle(x, y, radius, outer),
            shapes.circle(x, y, radius * 0.78, palette.ground),
            shapes.circle(x, y, radius * 0.7, inner),
        ]
        for index in range(dice.whole(4, 9)):
            angle = dice.between(0, 6.28)
            far = radius * dice.between(0.08, 0.52)
            drawn.append(
                shapes.circle(
                    x + far * math.cos(angle),
                    y + far * math.sin(angle),
                    3.5 + index % 3 * 1.7,
                    (colours[0], palette.ink)[index % 2],
                )
            )
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="vollkorn", colour=palette.ink, top=32, height=108, largest=50, leading=0.96),
        author=shapes.Spot(name="spartan", colour=palette.ink, top=449, height=12, largest=16, tracking=10),
    )


def kites(dice: Dice, palette: Palette) -> shapes.Picture:
    """Triangles tumbling down a bright page."""
    drawn = [shapes.ground(palette.ground)]
    for index in range(30):
        x, y, size = dice.between(-10, shapes.WIDTH + 10), dice.between(190, 425), dice.between(14, 52)
        turn = dice.between(0, 360)
        colour = (palette.first, palette.second, palette.third, palette.ink)[index % 4]
        drawn.append(
            f'<path d="M0 {-size:.0f} L{size * 0.87:.0f} {size / 2:.0f} L{-size * 0.87:.0f} {size / 2:.0f} Z"'
            f' transform="translate({x:.0f} {y:.0f}) rotate({turn:.0f})" fill="{colour}" opacity="0.92"/>'
        )
    drawn.append(shapes.rect(0, 430, shapes.WIDTH, 50, palette.ink))
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(
            name="spartan", colour=palette.ink, top=32, height=134, largest=46, leading=1.0, tracking=-12
        ),
        author=shapes.Spot(name="spartan", colour=palette.ground, top=449, height=12, largest=15, tracking=10),
    )


def stripe(dice: Dice, palette: Palette) -> shapes.Picture:
    """Almost nothing: a band of colour and room to breathe."""
    x, width = dice.between(190, 240), dice.between(18, 46)
    drawn = [
        shapes.ground(palette.ground),
        shapes.rect(x, 0, width, shapes.HEIGHT, palette.first),
        shapes.rect(x + width + 8, 0, 5, shapes.HEIGHT, palette.second),
        shapes.circle(x + width / 2, dice.between(120, 190), dice.between(30, 44), palette.third),
        shapes.rect(0, 262, shapes.WIDTH, 150, palette.ground),
    ]
    return shapes.Picture(
        shapes="".join(drawn),
        title=shapes.Spot(name="garamond-italic", colour=palette.ink, top=286, height=104, largest=46, leading=0.98),
        author=shapes.Spot(name="garamond", colour=palette.ink, top=437, height=17, largest=23),
    )
