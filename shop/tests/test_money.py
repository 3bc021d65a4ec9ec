"""Amounts in words."""

import pytest

from shop import money


@pytest.mark.parametrize(
    ("amount_minor", "currency", "words"),
    [
        (0, "USD", "$0.00"),
        (5, "USD", "$0.05"),
        (123450, "USD", "$1,234.50"),
        (-1999, "EUR", "-€19.99"),
        (1500, "JPY", "¥1,500"),
        (1250, "CHF", "CHF 12.50"),
    ],
)
def test_amounts(amount_minor: int, currency: str, words: str) -> None:
    assert money.in_words(amount_minor, currency) == words
