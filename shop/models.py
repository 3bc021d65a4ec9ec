"""The catalogue and the carts of people who signed in."""

import unicodedata
import zlib
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core import validators
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.text import slugify

from shop.books import isbn as isbns


def searchable(*texts: str) -> str:
    """The texts in lower case and without accents, so that "ines" finds "Inés"."""
    decomposed = unicodedata.normalize("NFKD", " ".join(texts).replace("\u2019", "'"))
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


class Category(models.Model):
    """A shelf of the shop."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    tagline = models.CharField(max_length=120, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position", "name")
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Book(models.Model):
    """A title for sale. Its sku everywhere else is its ISBN; how many there are, inventory knows."""

    isbn = models.CharField("ISBN", max_length=13, unique=True, validators=[isbns.validate])
    title = models.CharField(max_length=200)
    author = models.CharField(max_length=120)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="books")
    price_minor = models.PositiveIntegerField(
        "price in minor units", help_text="In cents.", validators=[validators.MinValueValidator(1)]
    )
    year = models.PositiveSmallIntegerField("year of publication")
    pages = models.PositiveSmallIntegerField()
    blurb = models.TextField(blank=True)
    is_listed = models.BooleanField("for sale", default=True)
    added_at = models.DateTimeField(auto_now_add=True)
    search_text = models.TextField(editable=False)

    class Meta:
        ordering = ("title", "isbn")
        constraints = (models.CheckConstraint(condition=models.Q(price_minor__gt=0), name="book_price_is_positive"),)
        indexes = (
            models.Index(fields=("category", "title"), name="book_by_category"),
            models.Index(fields=("-year", "-id"), name="book_by_newest"),
        )

    def __str__(self) -> str:
        return f"{self.title} ({self.author})"

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save, with what the search looks at brought up to date."""
        self.search_text = searchable(self.title, self.author, self.isbn)
        if update_fields is not None:
            update_fields = {*update_fields, "search_text"}
        super().save(*args, update_fields=update_fields, **kwargs)

    def get_absolute_url(self) -> str:
        """The book's page."""
        return page_url(isbn=self.isbn, title=self.title)

    @property
    def cover_url(self) -> str:
        """The drawn cover; another address whenever the words on it change."""
        return cover_url(isbn=self.isbn, title=self.title, author=self.author)


def page_url(*, isbn: str, title: str) -> str:
    """Address of a book's page, readable by people."""
    return reverse("book", kwargs={"isbn": isbn, "slug": slugify(title)[:60].strip("-") or "book"})


def cover_url(*, isbn: str, title: str, author: str) -> str:
    """Address of a book's cover, which browsers may keep for ever: its words are part of it."""
    version = zlib.crc32(f"{title}\n{author}".encode())
    return f"{reverse('cover', kwargs={'isbn': isbn})}?v={version:08x}"


class CartLine(models.Model):
    """One title in the cart of somebody with an account; guests keep theirs in the session."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cart_lines")
    sku = models.CharField(max_length=13)
    quantity = models.PositiveSmallIntegerField()
    # What the book cost when it was put in, to be able to say that the price has changed.
    seen_price_minor = models.PositiveIntegerField()
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("added_at", "id")
        constraints = (
            models.UniqueConstraint(fields=("user", "sku"), name="one_cart_line_per_book"),
            models.CheckConstraint(condition=models.Q(quantity__gte=1, quantity__lte=20), name="cart_quantity_1_to_20"),
        )

    def __str__(self) -> str:
        return f"{self.quantity} of {self.sku}"


class FlashSale(models.Model):
    """Some books at a special price for some time: so many units of each, and of those so many for one customer.

    From its start to its end the books are sold at the sale's price, out of the units that were set aside for it.
    """

    name = models.CharField(max_length=80)
    starts_at = models.DateTimeField("start")
    ends_at = models.DateTimeField("end")
    customer_limit = models.PositiveSmallIntegerField(
        "limit per customer", null=True, blank=True, validators=[validators.MinValueValidator(1)]
    )
    """Copies of each book, all orders together."""
    hold_seconds = models.PositiveIntegerField(null=True, blank=True, validators=[validators.MinValueValidator(10)])
    """So long is a copy held for an order that is not paid; None for `settings.HOLD_SECONDS`."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-starts_at",)
        constraints = (
            models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="sale_ends_after_start"),
        )

    def __str__(self) -> str:
        return self.name


class FlashSaleBook(models.Model):
    """One book of a sale."""

    sale = models.ForeignKey(FlashSale, on_delete=models.CASCADE, related_name="books")
    book = models.ForeignKey(Book, on_delete=models.PROTECT, related_name="flash_sales")
    price_minor = models.PositiveIntegerField("price in minor units", validators=[validators.MinValueValidator(1)])
    units = models.PositiveIntegerField("units set aside", validators=[validators.MinValueValidator(1)])

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("sale", "book"), name="book_once_per_sale"),
            models.CheckConstraint(condition=models.Q(price_minor__gt=0), name="sale_price_is_positive"),
        )

    def __str__(self) -> str:
        return f"{self.book.title}, {self.units} units"


class AuditRun(models.Model):
    """What one audit found. `manage.py audit`, the timekeeper and simulations leave one each."""

    started_at = models.DateTimeField(db_index=True)
    seconds = models.FloatField()
    is_clean = models.BooleanField()
    findings = models.JSONField(default=list)
    """Of every invariant: `{name, count, examples}`; 0 means that it holds."""
    by = models.CharField(max_length=80)

    class Meta:
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return "clean" if self.is_clean else "something is off"


class AuditEntry(models.Model):
    """Who did what to the shop's orders and money, when, and what it was before and after.

    Written in the transaction of the act by `audit_log.record`; append-only, by a trigger in the database.
    """

    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=150)
    """The name of the account; "buyer" for one who has none, "shop" for what happened by itself."""
    user_id = models.BigIntegerField(null=True, blank=True)
    """Of the account; a number, because an entry outlives the account and never changes."""
    what = models.CharField(max_length=60)
    """Such as "order cancelled", "return accepted", "review closed"."""
    subject = models.CharField(max_length=120)
    """What it was done to, as people call it: an order's reference, a charge's id."""
    order_id = models.UUIDField(null=True, blank=True, db_index=True)
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "audit log"
        indexes = (
            models.Index(fields=["who", "-id"], name="audit_who"),
            models.Index(fields=["subject", "-id"], name="audit_subject"),
            models.Index(fields=["at"], name="audit_at"),
        )

    def __str__(self) -> str:
        return f"{self.who}: {self.what} ({self.subject})"


class DailySales(models.Model):
    """What the analytics group has counted of one day: that on which the facts were stated, by the database, in UTC."""

    day = models.DateField(primary_key=True)
    confirmed = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    shipped = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    units = models.IntegerField(default=0)
    revenue_minor = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("-day",)
        verbose_name_plural = "daily sales"

    def __str__(self) -> str:
        return str(self.day)


class BookSales(models.Model):
    """What the analytics group has counted of one title."""

    sku = models.CharField(max_length=20, primary_key=True)
    units = models.IntegerField(default=0)
    revenue_minor = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("-units", "sku")
        verbose_name_plural = "book sales"

    def __str__(self) -> str:
        return self.sku
