"""Charges and refunds: rows that exist before the gateway is called, so that no call is made twice or forgotten."""

from decimal import Decimal

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

import money


class Charge(models.Model):
    """The one charge of an order. Its id is the idempotency key of the authorization.

    # Note [The way of a charge]

        requested ──▶ authorized ──▶ capturing ──▶ succeeded        (then refunds)
           │  │  ▲        │
           │  ▼  │        ▼
           │ action    voiding ──▶ cancelled
           ▼
         failed

    *Authorized* money is only set aside. Until a charge is *capturing*, it can still be barred by locking its row, and
    then no money will ever be taken; from there on money may move, and what moved too much is refunded.
    """

    class State(models.TextChoices):
        """How far it is."""

        REQUESTED = "requested", "Requested"
        """To be authorized, or the outcome of that is unknown: the same key is used again."""
        ACTION_REQUIRED = "action_required", "Waits for the buyer"
        """The buyer has to confirm it (3-D Secure), until `act_by`."""
        AUTHORIZED = "authorized", "Authorized"
        """Set aside on the buyer's card; the capture has not been begun."""
        CAPTURING = "capturing", "Capturing"
        """The capture was begun, or its outcome is unknown."""
        SUCCEEDED = "succeeded", "Captured"
        FAILED = "failed", "Failed"
        VOIDING = "voiding", "Being voided"
        """Barred; what is authorized, or may be, is let go."""
        CANCELLED = "cancelled", "Cancelled"
        """Barred, and nothing is set aside."""

    OPEN = (State.REQUESTED, State.ACTION_REQUIRED, State.AUTHORIZED, State.CAPTURING, State.VOIDING)
    """States in which the gateway is to be asked something."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField(unique=True)
    flow = models.CharField(max_length=20)
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    payment_method = models.CharField(max_length=80)
    lines = models.JSONField(default=list)
    """What the money is for, as it is passed on: a list of `{sku, quantity, unit_price_minor, sale_id,
    amount_minor}`, as in events."""
    customer = models.CharField(max_length=32, blank=True)
    """Who buys, as a pseudonym that is only passed on; see `catalogue.OrderCreated`."""
    contact = models.CharField(max_length=32, blank=True, default="", db_default="")
    """The same for the mail address alone."""
    state = models.CharField(max_length=20, choices=State.choices, default=State.REQUESTED)
    transaction_id = models.CharField(max_length=120, blank=True)
    """The gateway's name for the payment, from the authorization on."""
    failure_reason = models.CharField(max_length=120, blank=True)
    action_url = models.CharField(max_length=2000, blank=True)
    """Where the buyer confirms the payment."""
    act_by = models.DateTimeField(null=True, blank=True)
    """Until then the buyer has to have confirmed it; without that deadline, until the books are given up."""
    unknown_since = models.DateTimeField(null=True, blank=True)
    """Since then the gateway's answer to the step under way is unknown."""
    refunded_minor = models.PositiveBigIntegerField(default=0, db_default=0)
    """What went back, or is on its way back; never more than was taken."""
    attempts = models.PositiveIntegerField(default=0)
    """Calls made for the step under way."""
    next_attempt_at = models.DateTimeField(db_default=Now())
    cancel_requested = models.BooleanField(default=False)
    """The order is over: what gets authorized is voided, what gets captured goes back at once."""
    caused_by = models.UUIDField(null=True, blank=True)
    """The id of the event that asked for it; what becomes of it is told as following from that."""
    cancel_caused_by = models.UUIDField(null=True, blank=True)
    """The id of the event that said that the order is over."""
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(
                fields=["next_attempt_at"],
                name="charge_due",
                condition=models.Q(state__in=["requested", "action_required", "authorized", "capturing", "voiding"]),
            ),
            models.Index(fields=["transaction_id"], name="charge_transaction"),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(refunded_minor__lte=models.F("amount_minor")), name="charge_gives_back_what_it_took"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state__in=[
                        "requested",
                        "action_required",
                        "authorized",
                        "capturing",
                        "succeeded",
                        "failed",
                        "voiding",
                        "cancelled",
                    ]
                ),
                name="charge_state_known",
            ),
        )

    def __str__(self) -> str:
        return f"{money.format_plain(self.amount_minor, self.currency)} {self.state}"

    @property
    def left_minor(self) -> int:
        """What is neither back nor on its way back, in minor units."""
        return self.amount_minor - self.refunded_minor


class Refund(models.Model):
    """Money that goes back: once for each reason. Its id is the idempotency key."""

    class State(models.TextChoices):
        """How far it is."""

        REQUESTED = "requested", "Requested"
        SUCCEEDED = "succeeded", "Succeeded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="refunds", db_index=False)
    amount_minor = models.PositiveBigIntegerField()
    reason = models.CharField(max_length=120)
    caused_by = models.UUIDField(null=True, blank=True)
    """The id of the event that it follows from."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.REQUESTED)
    transaction_id = models.CharField(max_length=120, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(fields=["charge", "reason"], name="refund_once_per_reason"),
            models.CheckConstraint(condition=models.Q(state__in=["requested", "succeeded"]), name="refund_state_known"),
        )
        indexes = (models.Index(fields=["next_attempt_at"], name="refund_due", condition=models.Q(state="requested")),)

    def __str__(self) -> str:
        return f"{self.amount} back: {self.reason}"

    @property
    def amount(self) -> Decimal:
        """In major units."""
        return money.to_major(self.amount_minor, self.charge.currency)


class ChargeEntry(models.Model):
    """A line of a charge's history: what was asked, answered or done. Append-only, by a trigger in the database."""

    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="history")
    at = models.DateTimeField(db_default=Now())
    what = models.CharField(max_length=60)
    """For example "authorized", "capture unknown", "refund succeeded", "webhook payment.authorized"."""
    state = models.CharField(max_length=20)
    """The charge's state afterwards."""
    amount_minor = models.PositiveBigIntegerField(null=True, blank=True)
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "charge history"

    def __str__(self) -> str:
        return f"{self.what} ({self.state})"


class GatewayNotice(models.Model):
    """A genuine webhook, stored before it is answered; the event id makes a second delivery a no-op."""

    event_id = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=80)
    transaction_id = models.CharField(max_length=120, blank=True)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, null=True, blank=True, related_name="notices")
    """None where we know of no such charge; that needs a person."""
    body = models.TextField()
    happened_at = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"


class Review(models.Model):
    """Money that needs a person: one row for each matter, closed by itself when it is settled, or by staff."""

    class Kind(models.TextChoices):
        """What is wrong."""

        UNKNOWN = "unknown", "Outcome unknown for too long"
        REFUND_REFUSED = "refund_refused", "Refund refused by the gateway"
        VOID_REFUSED = "void_refused", "Void refused by the gateway"
        MISMATCH = "mismatch", "Our books and the gateway's differ"
        ORPHAN_PAYMENT = "stranger", "Money at the gateway that no order knows"
        KEPT = "kept", "More money kept than the order costs"
        EVENT_REFUSED = "event_refused", "A payment event that does not match our charge"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    subject = models.CharField(max_length=120)
    """What it is about: the id of a charge or refund, or the gateway's name for a payment."""
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, null=True, blank=True, related_name="reviews")
    order_id = models.UUIDField(null=True, blank=True)
    detail = models.CharField(max_length=500)
    opened_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True)
    """Who closed it; empty where it closed by itself."""
    note = models.CharField(max_length=500, blank=True)
    """How it was settled."""

    class Meta:
        ordering = ("-opened_at",)
        verbose_name = "money that needs a person"
        verbose_name_plural = "money that needs a person"
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "subject"], name="review_open_once", condition=models.Q(closed_at=None)
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.detail}"
