"""One spelling for all ways to write the same word, so that "duong" finds "Đường" and "jrr" finds "J. R. R."."""

import re

from anyascii import anyascii

_NO_WORD = re.compile(r"[^a-z0-9]+")
_INITIALS = re.compile(r"\b([a-z]) (?=[a-z]\b)")
_APOSTROPHES = str.maketrans("", "", "'\u2018\u2019\u02bc")


def fold(text: str) -> str:
    """The words in Latin letters without accents and in lower case, and digits, with single spaces between them."""
    return _NO_WORD.sub(" ", anyascii(text).lower()).strip()


def words_of(text: str) -> list[str]:
    """The folded words of a text in their sequence."""
    return fold(text).split()


def spellings(text: str) -> str:
    """The folded words, and those that come of leaving out apostrophes and of writing initials together."""
    folded, joined = fold(text), fold(text.translate(_APOSTROPHES))
    return " ".join(dict.fromkeys(" ".join((folded, joined, _INITIALS.sub(r"\1", folded))).split()))


def slug_of(text: str) -> str:
    """For an address: "Inês Barroso" is `ines-barroso`. Empty for what has no letter and no digit."""
    return fold(text).replace(" ", "-")[:120].strip("-")
