"""Book covers, drawn from nothing but a book's own words: the same book always gives the same picture."""

from shop.books.covers.drawing import draw

__all__ = ["draw"]
