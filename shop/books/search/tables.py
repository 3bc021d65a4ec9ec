"""The tables of the search; `shop/models.py` names them to Django."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models


class BookSearch(models.Model):
    """The words by which a book is found. Apart from the book, so that a new price does not write them again."""

    book = models.OneToOneField("shop.Book", on_delete=models.CASCADE, primary_key=True, related_name="found_by")
    vector = SearchVectorField()

    class Meta:
        indexes = (GinIndex(fields=["vector"], name="booksearch_vector", fastupdate=False),)

    def __str__(self) -> str:
        return str(self.book_id)


class SearchWord(models.Model):
    """A word of some book, which a mistyped one may have been meant to be."""

    word = models.CharField(max_length=40, primary_key=True)

    def __str__(self) -> str:
        return self.word
