"""ISBN-13, and the ISBN-10 of older books: reading, checking, showing."""

import re

from django.core.exceptions import ValidationError


def check_digit(first_twelve: str) -> str:
    """The thirteenth digit: weights 1 and 3 in turn, up to the next multiple of ten (ISO 2108)."""
    total = sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(first_twelve))
    return str(-total % 10)


def looks_right(isbn: str) -> bool:
    """Whether this is thirteen digits."""
    return len(isbn) == 13 and isbn.isascii() and isbn.isdigit()


def is_valid(isbn: str) -> bool:
    """Whether this is thirteen digits, a book's prefix and the right check digit, without hyphens."""
    return looks_right(isbn) and isbn[:3] in {"978", "979"} and isbn[12] == check_digit(isbn[:12])


def as_ten(isbn: str) -> str:
    """The ISBN-10 of a book whose ISBN-13 begins with 978; empty for others, which have none."""
    if not isbn.startswith("978"):
        return ""
    body = isbn[3:12]
    left = -sum(int(digit) * (10 - index) for index, digit in enumerate(body)) % 11
    return body + ("X" if left == 10 else str(left))


def typed(text: str) -> str:
    """The ISBN-13 that somebody typed, as 10 or 13 digits, with hyphens, spaces or the letters ISBN; else empty."""
    digits = re.sub(r"[\s\-\u2010-\u2015]|^\s*isbn(?:-?1[03])?\s*:?", "", text, flags=re.IGNORECASE).upper()
    if is_valid(digits):
        return digits
    if not re.fullmatch(r"[0-9]{9}[0-9X]", digits):
        return ""
    isbn = "978" + digits[:9]
    isbn += check_digit(isbn)
    return isbn if as_ten(isbn) == digits else ""


def validate(isbn: str) -> None:
    """A model field's validator; raises ValidationError with a sentence for the form."""
    if not is_valid(isbn):
        raise ValidationError("Enter an ISBN-13 without hyphens; its last digit must be right.", code="isbn")
