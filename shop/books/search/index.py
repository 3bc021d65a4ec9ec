"""What the search reads of a book: weighted words, in a table of their own, written whenever a book is saved.

# Note [Words of a book]
PostgreSQL's own full text search, over words that are folded in Python (see `folding`): the extensions that fold
accents and find similar words are not part of every PostgreSQL, and fold less. Each word is there as it stands, and in
titles and descriptions also as its English stem. Weights: A the title, B author and series, C publisher, ISBN and
shelf, D the description.

Whoever writes books calls `put`. Who does not (a statement in psql, another program, a new name of a shelf) is noticed
all the same: triggers note each book whose words changed (`shop_bookdue`), `put` strikes it off, and the timekeeper
reads what is left again (`put_due`). What filters and orders ask for is copied beside the words by the same triggers.
"""

import re
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from shop.books import isbn as isbns
from shop.books.search.folding import spellings

DUE_AT_ONCE = 200
"""So many are read again in one transaction; a book that is saved meanwhile waits for it."""

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
    books = list(books)
    write_words(books)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM shop_bookdue WHERE book_id = ANY(%s)", [[book.pk for book in books]])


def put_due() -> int:
    """Read some of the books again that changed without `put`; returns how many."""
    model, due = apps.get_model("shop", "Book"), apps.get_model("shop", "BookDue")
    with transaction.atomic():
        wanted = list(due.objects.order_by("pk").values_list("pk", flat=True)[:DUE_AT_ONCE])
        # Books before notes, as those do who save them; what is being saved right now strikes itself off.
        rows = model.objects.filter(pk__in=wanted).select_for_update(of=("self",), skip_locked=True)
        books = list(rows.select_related("category").order_by("pk"))
        for book in books:
            book.fill_search_fields()
        model.objects.bulk_update(books, model.DERIVED)
        put(books)
    return len(books)


def write_words(books: Iterable[Any]) -> None:
    """The words alone."""
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
