"""Withdrawals from purchases, as buyers have declared them."""

from django.db import models
from django.db.models.functions import Now


class Withdrawal(models.Model):
    """What a buyer has declared, and when; its receipt is the mail of the same order and number. Never changed."""

    order = models.ForeignKey("orders.Order", on_delete=models.CASCADE, related_name="withdrawals", db_index=False)
    number = models.PositiveSmallIntegerField()
    """Which of several: an order may be withdrawn from copy by copy."""
    units = models.JSONField()
    """Copies by sku."""
    had_left = models.BooleanField()
    """Whether the parcel had left, so that the copies are to be sent back."""
    declared_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("order", "number")
        constraints = (models.UniqueConstraint(fields=["order", "number"], name="withdrawal_once_per_number"),)

    def __str__(self) -> str:
        return f"{self.order} withdrawal {self.number}"
