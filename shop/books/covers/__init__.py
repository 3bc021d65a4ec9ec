"""Book covers, generated from a book's ISBN, title, author and shelf; the same book always gets the same picture."""

from shop.books.covers.drawing import draw

__all__ = ["draw"]
