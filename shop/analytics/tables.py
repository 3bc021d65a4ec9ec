"""The tables of the analytics group; `shop/models.py` names them to Django. A replay can write all of them anew."""

from django.db import models


class DailySales(models.Model):
    """The analytics group's figures of one day, by the time at which events were published, in UTC."""

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


class BookPrice(models.Model):
    """What the analytics group was told last about a book: its price, the one before, and how often it changed."""

    sku = models.CharField(max_length=20, primary_key=True)
    title = models.TextField()
    price_minor = models.BigIntegerField()
    was_price_minor = models.BigIntegerField(null=True)
    """The price before the last change of it; None as long as there was none."""
    is_listed = models.BooleanField()
    changes = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ("-changed_at", "sku")
        verbose_name = "change of a book"
        verbose_name_plural = "changes of books"

    def __str__(self) -> str:
        return self.sku


class BookSales(models.Model):
    """The analytics group's figures of one title."""

    sku = models.CharField(max_length=20, primary_key=True)
    units = models.IntegerField(default=0)
    revenue_minor = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("-units", "sku")
        verbose_name_plural = "book sales"

    def __str__(self) -> str:
        return self.sku


class BookHour(models.Model):
    """The analytics group's figures of one book in one hour (UTC): seen, put into carts, ordered, paid."""

    pk = models.CompositePrimaryKey("hour", "sku")
    hour = models.DateTimeField()
    sku = models.CharField(max_length=20)
    seen = models.PositiveBigIntegerField(default=0)
    """How often its page was shown."""
    carted = models.PositiveBigIntegerField(default=0)
    """How often it was put into a cart that did not have it."""
    ordered = models.PositiveBigIntegerField(default=0)
    """In how many orders that were placed it is."""
    paid = models.PositiveBigIntegerField(default=0)
    """In how many orders that were confirmed it is."""
    units = models.PositiveBigIntegerField(default=0)
    """Copies in those."""

    class Meta:
        ordering = ("-hour", "sku")

    def __str__(self) -> str:
        return f"{self.sku} {self.hour:%Y-%m-%d %H} h"


class SearchHour(models.Model):
    """How often words were searched for in one hour (UTC), as the analytics group was told; "" are words not told."""

    pk = models.CompositePrimaryKey("hour", "words")
    hour = models.DateTimeField()
    words = models.CharField(max_length=60)
    times = models.PositiveBigIntegerField(default=0)
    without_result = models.PositiveBigIntegerField(default=0)
    """How many of these found nothing."""

    class Meta:
        ordering = ("-hour", "words")

    def __str__(self) -> str:
        return f"{self.words} {self.hour:%Y-%m-%d %H} h"
