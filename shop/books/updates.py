"""Stating that a book changed, in the transaction that changes it."""

from django.conf import settings

from events import catalogue
from kafka_bridge.publishing import outbox
from shop.models import Book

_TOLD = ("price_minor", "is_listed", "title", "author", "year", "pages", "blurb", "category_id")


def state(before: Book | None, after: Book) -> bool:
    """State `book.updated` if anything is different that buyers are shown; `before` is None for a new book.

    Raises:
        RuntimeError: there is no transaction.
    """
    changed = [name for name in _TOLD if before is None or getattr(before, name) != getattr(after, name)]
    if not changed:
        return False
    outbox.publish(
        catalogue.BookUpdated(
            sku=after.isbn,
            title=after.title,
            author=after.author,
            price_minor=after.price_minor,
            currency=settings.CURRENCY,
            is_listed=after.is_listed,
            changed=tuple(name.removesuffix("_id") for name in changed),
            was_price_minor=before.price_minor if before and "price_minor" in changed else None,
        )
    )
    return True
