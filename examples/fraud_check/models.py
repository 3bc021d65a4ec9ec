"""What the fraud check keeps: each order as far as its events tell, and the reviews."""

from django.db import models
from django.db.models.functions import Now


class SeenOrder(models.Model):
    """An order that was placed or paid; which of the two is heard first is open, for they come by two topics."""

    order_id = models.UUIDField(primary_key=True)
    placed_at = models.DateTimeField(null=True)
    paid = models.BooleanField(db_default=False)
    total_minor = models.BigIntegerField(db_default=0)
    currency = models.CharField(max_length=3, blank=True)
    units_max = models.IntegerField(db_default=0)
    """The most copies of one book."""
    visitor = models.CharField(max_length=64, blank=True)
    """A pseudonym: the events hold no names."""
    network = models.CharField(max_length=64, blank=True)

    class Meta:
        indexes = (models.Index(fields=["network", "placed_at"]), models.Index(fields=["visitor", "placed_at"]))

    def __str__(self) -> str:
        return str(self.order_id)


class FraudReview(models.Model):
    """A paid order that a person should look at; one for each order, whatever happens how often."""

    order_id = models.UUIDField(primary_key=True)
    reasons = models.CharField(max_length=500)
    opened_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-opened_at",)

    def __str__(self) -> str:
        return f"order {self.order_id}: {self.reasons}"
