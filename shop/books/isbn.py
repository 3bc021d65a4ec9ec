"""ISBN-13: reading, checking, showing."""

from django.core.exceptions import ValidationError


def check_digit(first_twelve: str) -> str:
    """The thirteenth digit: weights 1 and 3 in turn, up to the next multiple of ten (ISO 2108)."""
    total = sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(first_twelve))
    return str(-total % 10)


def is_valid(isbn: str) -> bool:
    """Whether this is thirteen digits, a book's prefix and the right check digit, without hyphens."""
    return (
        len(isbn) == 13
        and isbn.isascii()
        and isbn.isdigit()
        and isbn[:3] in {"978", "979"}
        and isbn[12] == check_digit(isbn[:12])
    )


def validate(isbn: str) -> None:
    """A model field's validator; raises ValidationError with a sentence for the form."""
    if not is_valid(isbn):
        raise ValidationError("Enter an ISBN-13 without hyphens; its last digit must be right.", code="isbn")
