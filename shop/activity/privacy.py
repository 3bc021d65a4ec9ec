"""Who is not counted, and which words of a search are not told."""

import re
from collections.abc import Callable

WORDS_MAX = 60
# Somebody's mail address, or an address of something else that holds more than words.
_ADDRESS = re.compile(r"@|://|\bwww\.")
# A telephone number, a card, an account; the number of a book is none.
_NUMBER = re.compile(r"\d(?:[\s.\-/()]*\d){5,}")
_ISBN = re.compile(r"(?:97[89])?\d{9}[\dx]")


def is_opted_out(header: Callable[[str], str | None]) -> bool:
    """Whether a browser asks not to be counted: `Sec-GPC: 1` or `DNT: 1`."""
    return header("sec-gpc") == "1" or header("dnt") == "1"


def tellable(words: str) -> str:
    """The words of a search as they may be told, in lower case; empty if they look like an address or a number of a
    person's, or are longer than anybody types who looks for a book.
    """
    words = " ".join(words.lower().split())
    if len(words) > WORDS_MAX or "\x00" in words or _ADDRESS.search(words):
        return ""
    if _NUMBER.search(words) and not _ISBN.fullmatch(re.sub(r"[\s-]", "", words)):
        return ""
    return words
