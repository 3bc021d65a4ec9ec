"""What the search reads of a book: weighted words, in a table of their own, written whenever a book is saved.

# Note [Words of a book]
PostgreSQL's own full text search, over words that are folded in Python (see `folding`): the extensions that fold
accents and find similar words are not part of every PostgreSQL, and fold less. Each word is there as it stands, and in
titles and descriptions also as its English stem. Weights: A the title, B author and series, C publisher, ISBN and
shelf, D the description.
"""

import re
from collections.abc import Iterable
from typing import Any

from django.db import connection

from shop.books import isbn as isbns
from shop.books.search.folding import spellings

_WORD = re.compile(r"[a-z]{4,40}")
_PUT = """
INSERT INTO shop_booksearch (book_id, vector)
SELECT id, setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('english', title), 'A')
    || setweight(to_tsvector('simple', people), 'B') || setweight(to_tsvector('simple', other), 'C')
    || setweight(to_tsvector('simple', blurb), 'D') || setweight(to_tsvector('english', blurb), 'D')
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[]) AS t(id, title, people, other, blurb)
ORDER BY id
ON CONFLICT (book_id) DO UPDATE SET vector = excluded.vector
"""
_PUT_WORDS = """
INSERT INTO shop_searchword (word) SELECT word FROM unnest(%s::text[]) AS t(word) ORDER BY word
ON CONFLICT (word) DO NOTHING
"""


def put(books: Iterable[Any]) -> None:
    """Let these books be found by what they say now; they are saved, and have their `category`."""
    rows = [(book.pk, *_texts(book)) for book in books]
    if not rows:
        return
    words = {word for _, title, people, _, blurb in rows for word in _WORD.findall(f"{title} {people} {blurb}")}
    with connection.cursor() as cursor:
        cursor.execute(_PUT, [list(column) for column in zip(*rows, strict=True)])
        cursor.execute(_PUT_WORDS, [sorted(words)])


def _texts(book: Any) -> tuple[str, str, str, str]:
    isbn_10 = isbns.as_ten(book.isbn)
    return (
        spellings(book.title),
        spellings(f"{book.author} {book.series}"),
        spellings(f"{book.publisher} {book.isbn} {isbn_10} {book.category.name}"),
        spellings(book.blurb),
    )
