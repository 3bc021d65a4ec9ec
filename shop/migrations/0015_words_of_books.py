from typing import Any

from django.db import migrations

from shop.books.search import index as search_index
from shop.books.search.folding import slug_of

BATCH = 1_000


def write_words(apps: Any, schema_editor: Any) -> None:
    """Let the books that are there already be found by what they say."""
    model = apps.get_model("shop", "Book")
    last = 0
    while books := list(model.objects.filter(pk__gt=last).select_related("category").order_by("pk")[:BATCH]):
        for book in books:
            book.author_slug, book.series_slug = slug_of(book.author), slug_of(book.series)
        model.objects.bulk_update(books, ["author_slug", "series_slug"])
        search_index.write_words(books)
        last = books[-1].pk


class Migration(migrations.Migration):
    """The words of books that were there before."""

    dependencies = [("shop", "0014_details_and_words_of_books")]

    operations = [migrations.RunPython(write_words, migrations.RunPython.noop)]
