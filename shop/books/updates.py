"""Stating that a book changed, in the transaction that changes it; docs/decisions.md says what is no such change."""

import copy
from collections.abc import Iterable
from typing import Any

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
    return state_all([(before, after)]) == 1


def state_all(changes: Iterable[tuple[Book | None, Book]]) -> int:
    """As `state`, for many at once; how many were stated."""
    events = [event for before, after in changes if (event := _event(before, after))]
    if events:
        outbox.publish(*events)
    return len(events)


def state_gone(book: Book) -> bool:
    """State that a book is for sale no more, because it is deleted; nothing if it was not for sale.

    Raises:
        RuntimeError: there is no transaction.
    """
    gone = copy.copy(book)
    gone.is_listed = False
    return state(book, gone)


def _event(before: Book | None, after: Book) -> catalogue.BookUpdated | None:
    changed = [name for name in _TOLD if before is None or getattr(before, name) != getattr(after, name)]
    if not changed:
        return None
    return catalogue.BookUpdated(
        sku=after.isbn,
        title=after.title,
        author=after.author,
        price_minor=after.price_minor,
        currency=settings.CURRENCY,
        is_listed=after.is_listed,
        changed=tuple(name.removesuffix("_id") for name in changed),
        was_price_minor=before.price_minor if before and "price_minor" in changed else None,
    )


def offer_of(book: Book | None) -> dict[str, Any]:
    """What the activity log records of a book; nothing of one that is not there."""
    if book is None:
        return {}
    return {"title": book.title, "price_minor": book.price_minor, "for sale": book.is_listed}
