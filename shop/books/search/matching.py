"""From what somebody typed to the books that have it: SQL over the words of books, and the words that were meant."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import connection
from rapidfuzz import process
from rapidfuzz.distance import OSA

from shop import models
from shop.books import isbn as isbns
from shop.books.search.folding import words_of
from shop.site import ttl_cache

WORDS_MAX = 10
_WORD = "to_tsquery('simple', %(word{0})s)"
_WORD_OR_STEM = f"({_WORD} || to_tsquery('english', %(stem{{0}})s))"
# Where something else is typed, these say nothing.
_FILLERS = frozenset({"a", "an", "and", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with", "isbn"})
_LONG = 8
"""A word from this length on may have two mistakes; shorter ones one, and those under four none."""


@dataclass(frozen=True, slots=True)
class Match:
    """A tsquery for `shop_booksearch.vector`, as SQL with its named parameters; empty where nothing was typed."""

    sql: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sql)


def match(text: str, *, weights: str = "", is_unfinished: bool = False) -> Match:
    """Books that have each of these words, or one that begins with it.

    `weights` as `AB` for some parts of a book only; `is_unfinished` if the last word may be the beginning of another.
    """
    words = _typed(text)
    finished = words[:-1] if is_unfinished else words
    parts = [word for word in finished if word not in _FILLERS] or finished
    parts, last = parts[:WORDS_MAX], words[-1] if is_unfinished and words else ""
    sql = [_WORD_OR_STEM.format(number) for number in range(len(parts))] + ([_WORD.format("")] if last else [])
    terms = {f"word{number}": _term(word, weights, is_whole=len(word) == 1) for number, word in enumerate(parts)}
    terms |= {"word": _term(last, weights, is_whole=False)} if last else {}
    # A stem is looked for as it is: as a beginning, that of "mapping" would find "maple" too.
    terms |= {f"stem{number}": _term(word, weights, is_whole=True) for number, word in enumerate(parts)}
    return Match(" && ".join(sql), terms)


def _term(word: str, weights: str, *, is_whole: bool) -> str:
    # A single letter is an initial: as the beginning of a word it would find nearly everything.
    return f"{word}:{'' if is_whole else '*'}{weights}".rstrip(":")


def says_nothing(text: str) -> bool:
    """Whether there is no word in it to look for, though something was typed."""
    return bool(text) and not _typed(text)


def meant(text: str) -> str:
    """The text with each word that no book has replaced by the most similar one; empty if there is none for one.

    Words beyond `WORDS_MAX` are left out: one letter may stand for eight words, and each is looked for by itself.
    """
    found = []
    for word in _typed(text)[:WORDS_MAX]:
        if not (nearest := _nearest(word)):
            return ""
        found.append(nearest)
    return " ".join(found)


def forget() -> None:
    """Drop the list of all words, after a change of books."""
    _words.forget()


def _typed(text: str) -> list[str]:
    isbn = isbns.typed(text)
    return [isbn] if isbn else words_of(text)


def _nearest(word: str) -> str:
    if word in _FILLERS or any(character.isdigit() for character in word) or _begins_one(word):
        return word
    mistakes = 0 if len(word) < 4 else 1 if len(word) < _LONG else 2
    near = process.extract(word, _words.get(), scorer=OSA.distance, score_cutoff=mistakes, limit=5) if mistakes else []
    # Mistakes are seldom in the first letter.
    ranked = sorted(near, key=lambda found: (found[1], found[0][0] != word[0], found[0]))
    return ranked[0][0] if ranked else ""


def _begins_one(word: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM shop_booksearch WHERE vector @@ to_tsquery('simple', %s))", [f"{word}:*"]
        )
        return bool(cursor.fetchone()[0])


def _load_words() -> list[str]:
    return list(models.SearchWord.objects.values_list("word", flat=True))


_words: ttl_cache.TtlCache[list[str]] = ttl_cache.TtlCache(_load_words, max_age_seconds=60)
