"""Stock, and who holds or bought how much of it."""

from django.db import models
from django.db.models.functions import Now


class Stock(models.Model):
    """Units of one sku. PostgreSQL itself refuses to hold or sell more than was received."""

    sku = models.CharField(max_length=20, primary_key=True)
    received = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)
    sold = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "stock"
        ordering = ("sku",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(received__gte=models.F("held") + models.F("sold")), name="stock_never_oversold"
            ),
        )

    def __str__(self) -> str:
        return self.sku

    @property
    def free(self) -> int:
        """Units that can still be ordered."""
        return self.received - self.held - self.sold


class Reservation(models.Model):
    """What inventory did about one order. There is one row per order, ever: it is what makes every step happen once."""

    class State(models.TextChoices):
        """How far it is."""

        HELD = "held", "Held"
        SOLD = "sold", "Sold"
        RELEASED = "released", "Released"
        REFUSED = "refused", "Refused"

    order_id = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=10, choices=State.choices)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.order_id}: {self.state}"


class Hold(models.Model):
    """Units of one sku that belong to one reservation, be they held, sold or released again."""

    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, related_name="holds")
    sku = models.CharField(max_length=20, db_index=True)
    quantity = models.PositiveSmallIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["reservation", "sku"], name="hold_once_per_sku"),
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="hold_at_least_one"),
        )

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"
