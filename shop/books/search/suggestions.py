"""What somebody may be about to type: authors, series and titles that have the words so far."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection
from django.urls import reverse

from shop import models
from shop.books.search import matching
from shop.books.search.folding import fold, slug_of, spellings

SUGGESTED = 8
LETTERS_MIN = 2
_LOOKED_AT = 200
_FIND = """
SELECT b.isbn, b.title, b.author, b.series FROM shop_booksearch s JOIN shop_book b ON b.id = s.book_id
WHERE b.is_listed AND s.vector @@ ({match}) LIMIT %s
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """A line below the search field, and where it leads."""

    kind: str
    """Author, Series or Book."""
    text: str
    url: str
    more: str = ""
    """The author of a book."""


def suggestions(typed: str) -> list[Suggestion]:
    """The best few, those that begin with what was typed first; empty for less than two letters."""
    start = fold(typed)
    if len(start) < LETTERS_MIN:
        return []
    match = matching.match(typed, weights="ABC" if start[-1].isdigit() else "AB", is_unfinished=True)
    with connection.cursor() as cursor:
        cursor.execute(_FIND.format(match=match.sql), [*match.parameters, _LOOKED_AT])
        rows = cursor.fetchall()
    found = {suggestion.url: suggestion for row in rows for suggestion in _of(*row, words=start.split())}
    return sorted(found.values(), key=lambda one: _place(one, start))[:SUGGESTED]


def _of(isbn: str, title: str, author: str, series: str, *, words: list[str]) -> Iterator[Suggestion]:
    if _has(words, f"{title} {author} {isbn}"):
        yield Suggestion(kind="Book", text=title, url=models.page_url(isbn=isbn, title=title), more=author)
    for kind, address, text in (("Author", "author", author), ("Series", "series", series)):
        if (slug := slug_of(text)) and _has(words, text):
            yield Suggestion(kind=kind, text=text, url=reverse(address, args=[slug]))


def _has(words: list[str], text: str) -> bool:
    """Whether somebody who reads the text sees why it was suggested."""
    folded = f" {spellings(text)}"
    return all(f" {word}" in folded for word in words)


def _place(one: Suggestion, start: str) -> tuple[bool, bool, str]:
    folded = fold(one.text)
    return (not folded.startswith(start), one.kind == "Book", folded)
