"""ISBN-13."""

import pytest
from django.core.exceptions import ValidationError

from shop.books import isbn


# The first is the example of the ISBN Users' Manual.
@pytest.mark.parametrize("number", ["9780306406157", "9783161484100", "9791034304851"])
def test_right_numbers_are_accepted(number: str) -> None:
    isbn.validate(number)
    assert isbn.check_digit(number[:12]) == number[12]


@pytest.mark.parametrize(
    "number", ["9780306406158", "978030640615", "9770306406157", "97803O6406157", "978-0306406157", ""]
)
def test_wrong_numbers_are_refused(number: str) -> None:
    with pytest.raises(ValidationError):
        isbn.validate(number)
