"""Draws a cover: a picture that suits the shelf, then title and author."""

from functools import lru_cache
from xml.sax.saxutils import escape

from shop.books.covers import designs, lettering, shapes
from shop.books.covers.dice import Dice


@lru_cache(maxsize=512)
def draw(*, isbn: str, title: str, author: str, shelf: str) -> str:
    """A cover as an SVG document of 320 by 480 units; text that the typefaces lack is only in its <title>."""
    dice = Dice(isbn)
    pictures, colours = designs.BY_SHELF.get(shelf, designs.ANY_SHELF)
    picture = dice.pick(pictures)(dice, dice.pick(colours))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {shapes.WIDTH} {shapes.HEIGHT}"'
        f' width="{shapes.WIDTH}" height="{shapes.HEIGHT}">'
        f"<title>{escape(title)}, {escape(author)}</title>"
        f"{picture.shapes}{_set(title, picture.title)}{_set(author, picture.author)}{_spine()}</svg>"
    )


def _set(text: str, spot: shapes.Spot) -> str:
    block = lettering.fit(
        text.upper() if spot.capitals else text,
        name=spot.name,
        width=spot.width,
        height=spot.height,
        largest=spot.largest,
        leading=spot.leading,
        tracking=spot.tracking,
    )
    spare = spot.height - block.height
    top = spot.top + {"top": 0.0, "middle": spare / 2, "bottom": spare}[spot.cling]
    return f'<g fill="{spot.colour}">{block.draw(x=spot.x, top=top, anchor=spot.anchor)}</g>'


def _spine() -> str:
    """The fold beside the spine, and a little light on it."""
    return (
        '<defs><linearGradient id="fold"><stop offset="0" stop-color="#000" stop-opacity=".28"/>'
        '<stop offset=".3" stop-color="#fff" stop-opacity=".16"/>'
        '<stop offset=".62" stop-color="#000" stop-opacity=".14"/>'
        '<stop offset="1" stop-color="#000" stop-opacity="0"/></linearGradient></defs>'
        f'<rect width="20" height="{shapes.HEIGHT}" fill="url(#fold)"/>'
    )
