"""The one rule for every text that people type, whether into a page, the admin or the JSON interface.

# Note [What a typed text may hold]
Letters of any script, digits, signs and emoji. Not what cannot be seen and so can deceive: control characters, those
that change the direction of reading, characters without width, tags, what is no character at all. The zero-width joiner
and non-joiner are letters' business in Persian or Hindi, so they may stand between two letters of such scripts, and
between parts of an emoji. Texts are stored in NFC, with ordinary spaces, none of them at the ends and never two in
a row.
"""

import re
import unicodedata

MARKS_MAX = 4
"""Accents on one letter; the languages of the world need three."""
_JOINERS = "\u200c\u200d"
_LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# What decoders put in the place of bytes that are no UTF-8.
_LOST = "\N{REPLACEMENT CHARACTER}"
_BLANKS = re.compile(r"[^\S\n]+")
# Scripts from Hebrew on; before that joiners have no use.
_FIRST_JOINED = "\u0590"
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*", re.ASCII)


class NotAllowed(ValueError):
    """The text has something in it that it must not have; the message says what, for the person who typed it."""


def clean(text: str, *, max_length: int, multiline: bool = False) -> str:
    """The text as it is stored; may be empty. See Note [What a typed text may hold].

    Raises:
        NotAllowed: it is too long, has a line break where there may be none, or has an invisible character.
    """
    if len(text) <= max_length and _PLAIN.fullmatch(text):
        return text  # most are; a rush of orders comes through here
    text = unicodedata.normalize("NFC", text[: 4 * max_length + 1]).replace("\r\n", "\n").strip()
    if not multiline and any(char in _LINE_BREAKS for char in text):
        raise NotAllowed("Use one line, without line breaks.")
    for place, char in enumerate(text):
        _check(text, place, char)
    text = "\n".join(_BLANKS.sub(" ", line).strip() for line in text.split("\n")).strip()
    if len(text) > max_length:
        raise NotAllowed(f"Use at most {max_length} characters.")
    return text


def _check(text: str, place: int, char: str) -> None:
    category = unicodedata.category(char)
    if char == _LOST:
        raise NotAllowed(f"A character got lost at position {place + 1}. Type it again.")
    if category == "Mn" and place >= MARKS_MAX and _is_heap(text[place - MARKS_MAX : place]):
        raise NotAllowed(f"Use at most {MARKS_MAX} accents on a letter.")
    if category not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") and not _is_no_character(char):
        return
    if char in "\n\t" or (char in _JOINERS and _joins(text, place)):
        return
    raise NotAllowed(f"Remove the invisible character U+{ord(char):04X} at position {place + 1}.")


def _is_heap(before: str) -> bool:
    return all(unicodedata.category(char) == "Mn" for char in before)


def _is_no_character(char: str) -> bool:
    return ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF


def _joins(text: str, place: int) -> bool:
    """Whether a joiner stands between two characters of which at least the first one is of a script that joins."""
    before, after = text[place - 1 : place] if place else "", text[place + 1 : place + 2]
    return before >= _FIRST_JOINED and after >= _FIRST_JOINED and after not in _JOINERS
