"""The shop's own tables: catalogue, carts of users, flash sales, audits, activity log, sales figures."""

import unicodedata
import zlib
from collections.abc import Iterable
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.messages.storage.cookie import MessageDecoder, MessageEncoder
from django.core import validators
from django.db import models, transaction
from django.db.models.functions import Collate, Now
from django.urls import reverse
from django.utils.text import slugify

from shop.accounts.tables import AccountMail as AccountMail
from shop.accounts.tables import SavedAddress as SavedAddress
from shop.analytics.tables import BookHour as BookHour
from shop.analytics.tables import BookPrice as BookPrice
from shop.analytics.tables import BookSales as BookSales
from shop.analytics.tables import DailySales as DailySales
from shop.analytics.tables import SearchHour as SearchHour
from shop.books import isbn as isbns
from shop.books import languages
from shop.books.search import index as search_index
from shop.books.search.folding import fold, slug_of
from shop.books.search.tables import BookDue as BookDue
from shop.books.search.tables import BookKind as BookKind
from shop.books.search.tables import BookSearch as BookSearch
from shop.books.search.tables import SearchWord as SearchWord
from shop.operations.alerts.tables import AlertEvaluation as AlertEvaluation
from shop.operations.alerts.tables import AlertNotice as AlertNotice
from shop.operations.alerts.tables import AlertRecord as AlertRecord
from shop.operations.alerts.tables import AlertSilence as AlertSilence
from shop.pages.tables import ShopPage as ShopPage
from shop.prices.tables import ShippingMethod as ShippingMethod
from shop.prices.tables import ShippingRate as ShippingRate
from shop.prices.tables import TaxRate as TaxRate
from shop.waiting_room.tables import WaitingMode
from shop.waiting_room.tables import WaitingRoom as WaitingRoom
from shop.waitlist.tables import WaitlistEntry as WaitlistEntry

WEIGHT_GRAMS = 400
"""Of a book whose weight nobody has said: about 300 pages of a paperback."""


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


class Format(models.TextChoices):
    """How a book is bound."""

    PAPERBACK = "paperback", "Paperback"
    HARDBACK = "hardback", "Hardback"
    BOARD = "board", "Board book"
    SPIRAL = "spiral", "Spiral bound"


class Book(models.Model):
    """A title for sale. The ISBN is its sku everywhere else; its stock is inventory's."""

    isbn = models.CharField("ISBN", max_length=13, unique=True, validators=[isbns.validate])
    title = models.CharField(max_length=200)
    author = models.CharField(max_length=120)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="books", db_index=False)
    price_minor = models.PositiveIntegerField(
        "price in minor units", help_text="In cents.", validators=[validators.MinValueValidator(1)]
    )
    series = models.CharField(max_length=120, blank=True, default="", db_default="")
    series_number = models.PositiveSmallIntegerField("number in its series", null=True, blank=True)
    publisher = models.CharField(max_length=120, blank=True, default="", db_default="")
    year = models.PositiveSmallIntegerField("year of publication")
    pages = models.PositiveSmallIntegerField()
    weight_grams = models.IntegerField(
        "weight in grams",
        default=WEIGHT_GRAMS,
        db_default=WEIGHT_GRAMS,
        validators=[validators.MinValueValidator(1), validators.MaxValueValidator(30_000)],
        help_text="Shipping is charged by it.",
    )
    format = models.CharField(max_length=12, choices=Format.choices, default="paperback", db_default="paperback")
    language = models.CharField(
        max_length=8,
        default="en",
        db_default="en",
        validators=[languages.validate],
        help_text="ISO 639 code, such as en or vi.",
    )
    blurb = models.TextField(blank=True)
    is_listed = models.BooleanField("for sale", default=True)
    added_at = models.DateTimeField(auto_now_add=True)
    is_in_stock = models.BooleanField(default=False, db_default=False, editable=False)
    """Whether its ordinary pool has a free unit, as a trigger found when the row was last written: for counting books;
    of one book, ask `pricing`. See Note [In stock].
    """
    search_text = models.TextField(editable=False)
    author_slug = models.CharField(max_length=120, editable=False, default="", db_default="")
    series_slug = models.CharField(max_length=120, editable=False, default="", db_default="")
    title_key = models.CharField(max_length=200, editable=False, default="", db_default="", db_collation="C")
    """What titles are sorted by: without accents, so that Ä stands with A."""
    DERIVED: ClassVar = ("search_text", "author_slug", "series_slug", "title_key")
    """What `fill_search_fields` fills."""

    class Meta:
        ordering = ("title", "isbn")
        constraints = (models.CheckConstraint(condition=models.Q(price_minor__gt=0), name="book_price_is_positive"),)
        indexes = (
            models.Index(fields=("category", "title"), name="book_by_category"),
            models.Index(fields=("-year", "-id"), name="book_by_newest"),
            models.Index(fields=("title_key", "isbn"), name="book_by_title"),
            models.Index(fields=("price_minor", "isbn"), name="book_by_price", condition=models.Q(is_listed=True)),
            models.Index(Collate("author_slug", "C"), name="book_by_author_name", condition=models.Q(is_listed=True)),
            models.Index(
                Collate("series_slug", "C"),
                name="book_by_series_name",
                condition=models.Q(is_listed=True) & ~models.Q(series_slug=""),
            ),
            models.Index(fields=("author_slug",), name="book_by_author"),
            models.Index(
                fields=("series_slug", "series_number"), name="book_by_series", condition=~models.Q(series_slug="")
            ),
        )

    def __str__(self) -> str:
        return f"{self.title} ({self.author})"

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save, and update what the search uses."""
        self.fill_search_fields()
        if update_fields is not None:
            update_fields = {*update_fields, *self.DERIVED}
        with transaction.atomic():
            super().save(*args, update_fields=update_fields, **kwargs)
            search_index.put([self])

    def get_absolute_url(self) -> str:
        """The book's page."""
        return page_url(isbn=self.isbn, title=self.title)

    @property
    def language_name(self) -> str:
        """Such as Vietnamese."""
        return languages.name_of(self.language)

    @property
    def cover_url(self) -> str:
        """The generated cover; the URL changes with the text on it."""
        return cover_url(isbn=self.isbn, title=self.title, author=self.author)

    def fill_search_fields(self) -> None:
        """What is derived from its other fields; whoever saves many at once calls this, and then `search_index.put`."""
        self.search_text = searchable(self.title, self.author, self.isbn)
        self.author_slug, self.series_slug = slug_of(self.author), slug_of(self.series)
        self.title_key = (fold(self.title) or self.title)[:200]


def page_url(*, isbn: str, title: str) -> str:
    """The URL of a book's page, with its title."""
    return reverse("book", kwargs={"isbn": isbn, "slug": slugify(title)[:60].strip("-") or "book"})


def cover_url(*, isbn: str, title: str, author: str) -> str:
    """The URL of a book's cover, which browsers may cache for ever: it depends on the text on the cover."""
    version = zlib.crc32(f"{title}\n{author}".encode())
    return f"{reverse('cover', kwargs={'isbn': isbn})}?v={version:08x}"


class AccountName(models.Model):
    """The user name of an account in the one spelling of all names that look like it (`shop.accounts.names`).

    Accounts of before that look like an older one have none; they sign in with their exact name.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    canonical = models.CharField(max_length=300, unique=True)

    def __str__(self) -> str:
        return self.canonical


class CartLine(models.Model):
    """One title in a user's cart; a guest's cart is in the session."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cart_lines", db_index=False
    )
    sku = models.CharField(max_length=13)
    quantity = models.PositiveSmallIntegerField()
    # The price when the book was added, to tell the buyer if it has changed.
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
    """Books at a special price for a limited time, from units set aside for it, perhaps with a limit per customer."""

    name = models.CharField(max_length=80)
    starts_at = models.DateTimeField("start")
    ends_at = models.DateTimeField("end")
    customer_limit = models.PositiveSmallIntegerField(
        "limit per customer", null=True, blank=True, validators=[validators.MinValueValidator(1)]
    )
    """Copies of each book, over all orders."""
    hold_seconds = models.PositiveIntegerField(null=True, blank=True, validators=[validators.MinValueValidator(10)])
    """How long a copy is held for an unpaid order; None for `settings.HOLD_SECONDS`."""
    waiting_room = models.CharField(
        "waiting room", max_length=4, choices=WaitingMode.choices, default="off", db_default="off"
    )
    waiting_pass_seconds = models.PositiveIntegerField(
        "seconds to order", default=180, db_default=180, validators=[validators.MinValueValidator(30)]
    )
    """How long somebody whom the waiting room admits has for an order."""
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

    sale = models.ForeignKey(FlashSale, on_delete=models.CASCADE, related_name="books", db_index=False)
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
    """The result of one audit, by `manage.py audit`, the timekeeper, the admin or a simulation."""

    started_at = models.DateTimeField(db_index=True)
    seconds = models.FloatField()
    is_clean = models.BooleanField()
    findings = models.JSONField(default=list)
    """For each invariant `{name, count, examples}`; a count of 0 means that it holds."""
    by = models.CharField(max_length=80)

    class Meta:
        ordering = ("-started_at",)
        permissions = (("view_operations", "Can view the operations page"),)

    def __str__(self) -> str:
        return "clean" if self.is_clean else "something is off"


class OverviewSample(models.Model):
    """What the operators' charts show of one moment; see `shop/operations/overview/samples.py`."""

    resolution = models.PositiveSmallIntegerField()
    """For how many seconds it stands."""
    at = models.DateTimeField()
    """When it was taken; where it stands for several, the beginning of that time."""
    averages = models.JSONField()
    """By series, a number."""
    maxima = models.JSONField(default=dict)
    """The same where the sample stands for several; a series that is not here was the same all the time."""

    class Meta:
        constraints = (models.UniqueConstraint(fields=["resolution", "at"], name="overview_sample_once"),)

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} for {self.resolution} s"


class AuditProgress(models.Model):
    """How far the timekeeper's audits have come; one row. See Note [What moved, and the round]."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    marks = models.JSONField(default=list)
    """For each of the last audits `[when, the newest event's id]`."""
    order_cursor = models.UUIDField(null=True, blank=True)
    sku_cursor = models.CharField(max_length=20, blank=True)
    suspect_orders = models.JSONField(default=list)
    """Ids that were named in what did not hold, and are looked at again."""
    suspect_skus = models.JSONField(default=list)
    round_finished_at = models.DateTimeField(null=True, blank=True)
    """When the round through all orders was complete."""

    def __str__(self) -> str:
        return f"at order {self.order_cursor}"


class AuditEntry(models.Model):
    """An entry of the activity log: who did what to orders, money or stock, with the values before and after.

    Written by `activity_log.record` in the transaction of the action; append-only, by a trigger in the database.
    """

    at = models.DateTimeField(db_default=Now())
    who = models.CharField(max_length=150)
    """The user name; "buyer" for a guest."""
    user_id = models.BigIntegerField(null=True, blank=True)
    """Not a foreign key, because an entry outlives the account and never changes."""
    what = models.CharField(max_length=60)
    """One of `activity_log.ACTIONS`."""
    subject = models.CharField(max_length=120)
    """What it was done to, by a name that people use: an order's reference, a charge's id."""
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


class FormPress(models.Model):
    """A form that was sent, by its one-time token, and what came of it; see Note [One form, one act]."""

    token = models.UUIDField(primary_key=True)
    owner = models.CharField(max_length=20, blank=True)
    """The account's id; empty for a guest."""
    path = models.CharField(max_length=500)
    contents = models.CharField(max_length=64)
    """A hash of what was sent."""
    location = models.TextField(blank=True)
    """Where it led; empty while it is under way."""
    said = models.JSONField(default=list, encoder=MessageEncoder, decoder=MessageDecoder)
    """The messages that were shown there."""
    at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"{self.path} {self.token}"
