"""Rates of shipping and of tax, as staff edit them. A shop without any ships free and adds no tax."""

from decimal import Decimal

from django.core import validators
from django.core.exceptions import ValidationError
from django.db import models

from shop.checkout import countries


def validate_country(code: str) -> None:
    """Refuse what is none of the countries that a parcel can go to.

    Raises:
        ValidationError: see its message.
    """
    if code not in countries.CODES:
        raise ValidationError("Use the two letters of a country, such as DE, or nothing for everywhere else.")


class ShippingMethod(models.Model):
    """A way of shipping that buyers choose, such as Standard."""

    code = models.SlugField(max_length=30, unique=True, help_text="What programs call it.")
    name = models.CharField(max_length=60, help_text="What buyers see, such as “Standard, 2 to 4 days”.")
    position = models.PositiveSmallIntegerField(default=0, help_text="The first one is chosen unless a buyer chooses.")
    is_active = models.BooleanField("can be chosen", default=True)

    class Meta:
        ordering = ("position", "name")

    def __str__(self) -> str:
        return self.name


class ShippingRate(models.Model):
    """What a method costs to a country, up to a weight; prices without tax where the country's tax is added."""

    method = models.ForeignKey(ShippingMethod, on_delete=models.CASCADE, related_name="rates", db_index=False)
    country = models.CharField(
        max_length=2, blank=True, validators=[validate_country], help_text="Empty: all countries without rates."
    )
    upto_grams = models.PositiveIntegerField(
        "up to grams", null=True, blank=True, help_text="Of all books together. Empty: any weight."
    )
    price_minor = models.PositiveIntegerField()
    free_from_minor = models.PositiveIntegerField(null=True, blank=True)
    """From so much on, for books less the discount, it is free."""

    class Meta:
        ordering = ("method", "country", "upto_grams")
        constraints = (
            models.UniqueConstraint(
                fields=["method", "country", "upto_grams"], name="shipping_rate_once", nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return f"{self.method} {self.country or 'elsewhere'}"


class TaxRate(models.Model):
    """How a country taxes books and their shipping, from a day on."""

    country = models.CharField(
        max_length=2, blank=True, validators=[validate_country], help_text="Empty: all countries without rates."
    )
    valid_from = models.DateField()
    books_percent = models.DecimalField(
        max_digits=7, decimal_places=4, default=Decimal(0), validators=[validators.MinValueValidator(Decimal(0))]
    )
    shipping_percent = models.DecimalField(
        max_digits=7, decimal_places=4, default=Decimal(0), validators=[validators.MinValueValidator(Decimal(0))]
    )
    is_added = models.BooleanField(
        "added at the checkout",
        default=False,
        help_text="As in the United States. Otherwise it is in the prices, as in Europe.",
    )

    class Meta:
        ordering = ("country", "-valid_from")
        constraints = (
            models.UniqueConstraint(fields=["country", "valid_from"], name="tax_rate_once"),
            models.CheckConstraint(
                condition=models.Q(books_percent__gte=0, shipping_percent__gte=0), name="tax_rate_not_negative"
            ),
        )

    def __str__(self) -> str:
        return f"{self.country or 'elsewhere'} {self.books_percent.normalize():f} % from {self.valid_from}"
