"""Stating that a book changed, in the transaction that changes it; docs/decisions.md says what is no such change."""

from collections.abc import Sequence

from django.conf import settings

from events import catalogue
from kafka_bridge.publishing import outbox
from shop.models import Book

_TOLD = (
    "price_minor", "is_listed", "title", "author", "year", "pages", "blurb", "category_id", "series", "series_number",
    "publisher", "format", "language",
)  # fmt: skip


def state(before: Book | None, after: Book) -> bool:
    """State `book.updated` if anything is different that buyers are shown; `before` is None for a new book.

    Raises:
        RuntimeError: there is no transaction.
    """
    changed = [name for name in _TOLD if before is None or getattr(before, name) != getattr(after, name)]
    if not changed:
        return False
    was_price_minor = before.price_minor if before and "price_minor" in changed else None
    _publish(after, changed, is_listed=after.is_listed, was_price_minor=was_price_minor)
    return True


def state_gone(book: Book) -> bool:
    """State that a book is for sale no more, because it is deleted; nothing if it was not for sale.

    Raises:
        RuntimeError: there is no transaction.
    """
    if book.is_listed:
        _publish(book, ["is_listed"], is_listed=False, was_price_minor=None)
    return book.is_listed


def _publish(book: Book, changed: Sequence[str], *, is_listed: bool, was_price_minor: int | None) -> None:
    outbox.publish(
        catalogue.BookUpdated(
            sku=book.isbn,
            title=book.title,
            author=book.author,
            price_minor=book.price_minor,
            currency=settings.CURRENCY,
            is_listed=is_listed,
            changed=tuple(name.removesuffix("_id") for name in changed),
            was_price_minor=was_price_minor,
        )
    )
