"""What somebody may be about to type: authors, series and titles that have the words so far."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import connection
from django.urls import reverse

from shop import models
from shop.books.search import matching
from shop.books.search.folding import fold, slug_of, spellings

SUGGESTED = 8
BOOKS_LEAST = 4
"""So many lines are for books, where as many begin with what was typed."""
LETTERS_MIN = 2
_LOOKED_AT = 200
_WITH_WORDS = """
SELECT b.isbn, b.title, b.author, b.series FROM shop_booksearch s JOIN shop_book b ON b.id = s.book_id
WHERE s.is_listed AND s.vector @@ ({match}) LIMIT %(most)s
"""
_TITLES = """
SELECT isbn, title, author FROM shop_book
WHERE is_listed AND title_key >= %(start)s AND title_key < %(end)s ORDER BY title_key, isbn LIMIT %(most)s
"""
# From each name to the next one: an author with a hundred books is looked at once.
_NAMES = """
WITH RECURSIVE named AS (
    (SELECT {kind}_slug AS slug, {kind} AS name FROM shop_book
     WHERE is_listed AND {kind}_slug <> '' AND {kind}_slug COLLATE "C" >= %(start)s
        AND {kind}_slug COLLATE "C" < %(end)s
     ORDER BY {kind}_slug COLLATE "C" LIMIT 1)
    UNION ALL
    SELECT following.* FROM named CROSS JOIN LATERAL (
        SELECT {kind}_slug, {kind} FROM shop_book
        WHERE is_listed AND {kind}_slug <> '' AND {kind}_slug COLLATE "C" > named.slug
            AND {kind}_slug COLLATE "C" < %(end)s
        ORDER BY {kind}_slug COLLATE "C" LIMIT 1
    ) AS following
)
SELECT name FROM named LIMIT %(most)s
"""
_LAST = "~"
"""Stands after every letter and digit of a folded text."""


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
    books, names = _books_that_begin(start), _names_that_begin(start)
    names = names[: SUGGESTED - min(len(books), BOOKS_LEAST)]
    found = {suggestion.url: suggestion for suggestion in (*names, *books)}
    if len(found) < SUGGESTED:
        for suggestion in _with_words(typed, start):
            found.setdefault(suggestion.url, suggestion)
    return sorted(found.values(), key=lambda one: _place(one, start))[:SUGGESTED]


def _books_that_begin(start: str) -> list[Suggestion]:
    with connection.cursor() as cursor:
        cursor.execute(_TITLES, {"start": start, "end": start + _LAST, "most": SUGGESTED})
        return [_book(*row) for row in cursor.fetchall()]


def _names_that_begin(start: str) -> list[Suggestion]:
    slug, found = slug_of(start), list[tuple[str, str]]()
    with connection.cursor() as cursor:
        for kind in ("author", "series"):
            cursor.execute(_NAMES.format(kind=kind), {"start": slug, "end": slug + _LAST, "most": SUGGESTED})
            found += [(kind, name) for (name,) in cursor.fetchall()]
    return [_name(kind, text) for kind, text in sorted(found, key=lambda one: fold(one[1]))]


def _with_words(typed: str, start: str) -> Iterator[Suggestion]:
    match = matching.match(typed, weights="ABC" if start[-1].isdigit() else "AB", is_unfinished=True)
    with connection.cursor() as cursor:
        cursor.execute(_WITH_WORDS.format(match=match.sql), {**match.parameters, "most": _LOOKED_AT})
        rows = cursor.fetchall()
    for row in rows:
        yield from _of(*row, words=start.split())


def pages_of(books: Iterable[models.Book], typed: str) -> list[Suggestion]:
    """The pages of those authors and series of these books that have all that was typed in their names."""
    words = fold(typed).split()
    found = {one.url: one for book in books for one in _names(book.author, book.series, words=words)} if words else {}
    return list(found.values())[:SUGGESTED]


def _of(isbn: str, title: str, author: str, series: str, *, words: list[str]) -> Iterator[Suggestion]:
    if _has(words, f"{title} {author} {isbn}"):
        yield _book(isbn, title, author)
    yield from _names(author, series, words=words)


def _names(author: str, series: str, *, words: list[str]) -> Iterator[Suggestion]:
    for kind, text in (("author", author), ("series", series)):
        if slug_of(text) and _has(words, text):
            yield _name(kind, text)


def _book(isbn: str, title: str, author: str) -> Suggestion:
    return Suggestion(kind="Book", text=title, url=models.page_url(isbn=isbn, title=title), more=author)


def _name(kind: str, text: str) -> Suggestion:
    return Suggestion(kind=kind.capitalize(), text=text, url=reverse(kind, args=[slug_of(text)]))


def _has(words: list[str], text: str) -> bool:
    """Whether somebody who reads the text sees why it was suggested."""
    folded = f" {spellings(text)}"
    return all(f" {word}" in folded for word in words)


def _place(one: Suggestion, start: str) -> tuple[bool, bool, str]:
    folded = fold(one.text)
    return (not folded.startswith(start), one.kind == "Book", folded)
