"""Tables of accounts: saved addresses, and mails that are on their way."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class SavedAddress(models.Model):
    """Where an account has its parcels sent; the checkout offers it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_addresses", db_index=False
    )
    name = models.CharField(max_length=120)
    address_line1 = models.CharField(max_length=200)
    address_line2 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100)
    postcode = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2)
    is_default = models.BooleanField(default=False)
    """The one that the checkout fills in by itself."""
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-is_default", "id")
        indexes = (models.Index(fields=["user"], name="saved_address_user"),)
        constraints = (
            models.UniqueConstraint(fields=["user"], name="one_default_address", condition=models.Q(is_default=True)),
        )

    def __str__(self) -> str:
        return f"{self.address_line1}, {self.city}"


class AccountMail(models.Model):
    """A mail about an account that has not been sent yet; see `shop.accounts.mails`."""

    to = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(db_default=Now(), db_index=True)
    """When it is tried next; while it is being sent: when another process may take it over."""
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return self.subject
