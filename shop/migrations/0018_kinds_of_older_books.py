from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models, transaction
from django.db.models.functions import Collate

from shop.books.search.folding import fold

BATCH = 1_000


def copy_kinds(apps: Any, schema_editor: Any) -> None:
    """Batch by batch, so that a running shop waits for none of it; a trigger of the books does the rest."""
    model = apps.get_model("shop", "Book")
    last = 0
    while ids := list(model.objects.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            books = list(model.objects.filter(pk__in=ids).select_for_update().order_by("pk"))
            for book in books:
                book.title_key = (fold(book.title) or book.title)[:200]
            model.objects.bulk_update(books, ["title_key"])
        last = ids[-1]


class Migration(migrations.Migration):
    """The kinds of books that were there before, and indexes over them."""

    atomic = False
    dependencies = [("shop", "0017_kinds_of_books")]

    operations = [
        migrations.RunPython(copy_kinds, migrations.RunPython.noop),
        AddIndexConcurrently(
            "book",
            models.Index(Collate("author_slug", "C"), name="book_by_author_name", condition=models.Q(is_listed=True)),
        ),
        AddIndexConcurrently(
            "book",
            models.Index(
                Collate("series_slug", "C"),
                name="book_by_series_name",
                condition=models.Q(is_listed=True) & ~models.Q(series_slug=""),
            ),
        ),
        AddIndexConcurrently("book", models.Index(fields=("title_key", "isbn"), name="book_by_title")),
        AddIndexConcurrently(
            "book",
            models.Index(fields=("price_minor", "isbn"), name="book_by_price", condition=models.Q(is_listed=True)),
        ),
        AddIndexConcurrently("booksearch", models.Index(fields=("isbn",), name="booksearch_isbn")),
        AddIndexConcurrently(
            "booksearch",
            models.Index(fields=("-year", "-book"), name="booksearch_newest", condition=models.Q(is_listed=True)),
        ),
    ]
