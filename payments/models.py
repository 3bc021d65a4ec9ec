"""Charges and refunds: rows that exist before the gateway is called, so that no call is made twice or forgotten."""

from decimal import Decimal

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class Charge(models.Model):
    """The one charge of an order. Its id is the idempotency key of every call made for it."""

    class State(models.TextChoices):
        """How far it is."""

        REQUESTED = "requested", "Requested"
        """The gateway is to be asked, or was asked and its answer is unknown: the same key is used again."""
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        """The order was over before the gateway was asked; it never will be."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField(unique=True)
    flow = models.CharField(max_length=20)
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=80)
    lines = models.JSONField(default=list)
    """What the money is for, as it is passed on: a list of `{sku, quantity, unit_price_minor, sale_id}`."""
    customer = models.CharField(max_length=32, blank=True)
    """Who buys, as a pseudonym that is only passed on; see `catalogue.OrderCreated`."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    transaction_id = models.CharField(max_length=120, blank=True)
    failure_reason = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    cancel_requested = models.BooleanField(default=False)
    """The order ended while the gateway was being asked: if it says yes, the money goes back at once."""
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=["next_attempt_at"], name="charge_due", condition=models.Q(state="requested")),)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} {self.state}"

    @property
    def amount(self) -> Decimal:
        """In major units."""
        return Decimal(self.amount_minor).scaleb(-2)


class Refund(models.Model):
    """Money that goes back: once for each reason. Its id is the idempotency key."""

    class State(models.TextChoices):
        """How far it is."""

        REQUESTED = "requested", "Requested"
        SUCCEEDED = "succeeded", "Succeeded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="refunds")
    amount_minor = models.PositiveBigIntegerField()
    reason = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    transaction_id = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (models.UniqueConstraint(fields=["charge", "reason"], name="refund_once_per_reason"),)
        indexes = (models.Index(fields=["next_attempt_at"], name="refund_due", condition=models.Q(state="requested")),)

    def __str__(self) -> str:
        return f"{self.amount} back: {self.reason}"

    @property
    def amount(self) -> Decimal:
        """In major units."""
        return Decimal(self.amount_minor).scaleb(-2)
