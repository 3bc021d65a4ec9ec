"""Languages that books are written in: ISO 639 codes, and their names from Unicode's CLDR."""

from functools import cache

from babel import Locale
from django.core.exceptions import ValidationError


@cache
def _names() -> dict[str, str]:
    named = sorted(Locale("en").languages.items(), key=lambda found: found[1])
    return {code: name for code, name in named if code.isalpha()}


def names() -> dict[str, str]:
    """All names by code, in the order of the names."""
    return _names()


def name_of(code: str) -> str:
    """The name, such as Vietnamese for `vi`; the code itself if nobody knows it."""
    return _names().get(code, code)


def validate(code: str) -> None:
    """A model field's validator; raises ValidationError with a sentence for the form."""
    if code not in _names():
        raise ValidationError("Enter a language code of two or three small letters, such as en or vi.", code="language")
