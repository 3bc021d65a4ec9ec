"""What an entry of a file says of a book."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import money

BLURB_MOST = 5_000
"""Characters of a description."""
WEIGHT_MOST = 30_000
"""Grams that one copy weighs at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """One book: the fields of `shop.models.Book` that the file speaks of; of others it says nothing."""

    place: str
    """Where in the file, for people: a line, or the record's own name."""
    isbn: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    shelf: str = ""
    """The slug of its shelf, for a book that is new; empty where the file names none."""
    is_withdrawn: bool = False
    """Only that it is no longer sold; the fields say nothing."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that cannot be used, and what is wrong with it in words."""

    place: str
    isbn: str
    """As the file has it; may be empty."""
    reason: str


class Unusable(ValueError):
    """An entry cannot be used; the words say why."""


class NotReadable(ValueError):
    """The file as a whole cannot be read; the words say what to do."""


def price_of(text: str, currency: str) -> int:
    """A price in minor units, from digits and at most a point.

    Raises:
        Unusable: it is no price, or has more decimals than the currency.
    """
    try:
        amount = Decimal(text.strip())
        if not (amount.is_finite() and 0 < amount < 10_000_000):
            raise InvalidOperation
        return money.to_minor(amount, currency)
    except (InvalidOperation, ValueError):
        raise Unusable(f"{text.strip()[:40]!r} is no price in {currency}: write it like 12.50") from None


def number_of(text: str, what: str) -> int:
    """A whole number that fits its field.

    Raises:
        Unusable: it is none.
    """
    text = text.strip()
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 32_767 and len(text) <= 6):
        raise Unusable(f"{text[:40]!r} is no {what}: use digits, at most 32767")
    return int(text)
