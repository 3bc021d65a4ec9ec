"""The tables of the search; `shop/models.py` names them to Django."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models


class BookSearch(models.Model):
    """The words by which a book is found. Apart from the book, so that a new price does not write them again.

    The rest are copies of what filters and orders ask for, so that the book need not be looked up for them; a trigger
    of the book's table keeps them equal. See Note [Words of a book].
    """

    book = models.OneToOneField("shop.Book", on_delete=models.CASCADE, primary_key=True, related_name="found_by")
    vector = SearchVectorField()
    isbn = models.CharField(max_length=13, db_default="")
    is_listed = models.BooleanField(db_default=False)
    is_in_stock = models.BooleanField(db_default=False)
    category_id = models.BigIntegerField(db_default=0)
    format = models.CharField(max_length=12, db_default="")
    language = models.CharField(max_length=8, db_default="")
    price_minor = models.IntegerField(db_default=0)
    band = models.SmallIntegerField(db_default=0)
    """As that of `BookKind`."""
    year = models.SmallIntegerField(db_default=0)

    class Meta:
        indexes = (
            GinIndex(fields=["vector"], name="booksearch_vector", fastupdate=False),
            models.Index(fields=("isbn",), name="booksearch_isbn"),
            models.Index(fields=("-year", "-book"), name="booksearch_newest", condition=models.Q(is_listed=True)),
        )

    def __str__(self) -> str:
        return str(self.book_id)


class BookDue(models.Model):
    """A book whose words are to be read again, because it or its shelf's name changed. Triggers write it."""

    book = models.OneToOneField("shop.Book", on_delete=models.CASCADE, primary_key=True, related_name="+")

    def __str__(self) -> str:
        return str(self.book_id)


class BookKind(models.Model):
    """So many books more, or fewer, of one kind are for sale; the sum is how many there are: Note [Kinds of books]."""

    category_id = models.BigIntegerField()
    format = models.CharField(max_length=12)
    language = models.CharField(max_length=8)
    band = models.SmallIntegerField()
    """Which of `selection.BANDS` its usual price lies in, counted from 0."""
    is_in_stock = models.BooleanField()
    books = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.books} of {self.format}, {self.language}"


class SearchWord(models.Model):
    """A word of some book, which a mistyped one may have been meant to be."""

    word = models.CharField(max_length=40, primary_key=True)

    def __str__(self) -> str:
        return self.word
