"""The texts of the shop's own pages as staff have them."""

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse


class Slug(models.TextChoices):
    """Which pages there are, in the sequence of the footer."""

    DELIVERY = "delivery", "Delivery"
    RETURNS = "returns", "Returns and withdrawal"
    TERMS = "terms", "Terms"
    PRIVACY = "privacy", "Privacy"
    IMPRINT = "imprint", "Imprint"
    CONTACT = "contact", "Contact"


class Language(models.TextChoices):
    """The languages that they are written in; the first one has the plain addresses."""

    EN = "en", "English"
    VI = "vi", "Tiếng Việt"


def address_of(slug: str, language: str) -> str:
    """Where the page is."""
    if language == Language.EN:
        return reverse("page", args=[slug])
    return reverse("page_in", kwargs={"slug": slug, "language": language})


class ShopPage(models.Model):
    """One page in one language, in Markdown without HTML."""

    slug = models.CharField("page", max_length=20, choices=Slug.choices)
    language = models.CharField(max_length=2, choices=Language.choices)
    title = models.CharField(max_length=100)
    text = models.TextField(max_length=30_000)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "page of the shop"
        verbose_name_plural = "pages of the shop"
        ordering = ("slug", "language")
        constraints = (models.UniqueConstraint(fields=["slug", "language"], name="page_once_per_language"),)

    def __str__(self) -> str:
        return f"{self.title} ({self.language})"

    def get_absolute_url(self) -> str:
        """Where it is."""
        return address_of(self.slug, self.language)
