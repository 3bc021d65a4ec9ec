"""Stock, who holds or bought how much of it, and every movement that led there."""

from django.db import models
from django.db.models.functions import Now

UNITS_MAX = 20
"""Of one sku in one order. Whoever asks for more made a mistake, or means to do harm."""


def bin_of(sku: str, sale_id: int | None = None) -> str:
    """The name of the bin that holds a sku's ordinary units, or those that were set aside for a sale."""
    return sku if sale_id is None else f"{sku}@{sale_id}"


class Stock(models.Model):
    """Units of one sku in one bin. PostgreSQL itself refuses to hold or sell more than was received.

    A sku has an ordinary bin, named as the sku is, and one more for each sale for which units were set aside. Moving
    units from one to the other changes `received` of both, and never their sum.
    """

    bin = models.CharField(max_length=40, primary_key=True)
    sku = models.CharField(max_length=20, db_index=True)
    received = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)
    sold = models.PositiveIntegerField(default=0)
    version = models.PositiveBigIntegerField(default=0)
    """Grows with every change, so that the gate can tell which of two counts is the younger."""
    updated_at = models.DateTimeField(db_default=Now())

    sale_id = models.BigIntegerField(null=True, blank=True)
    """The sale for which these units were set aside; what follows is told by it."""
    customer_limit = models.PositiveSmallIntegerField(null=True, blank=True)
    """So many units may one customer have of this bin, all orders together."""
    hold_seconds = models.PositiveIntegerField(null=True, blank=True)
    """So long are they held for an order that is not paid; None for the setting."""
    closes_at = models.DateTimeField(null=True, blank=True)
    """From then on what is free goes back to the ordinary bin."""

    class Meta:
        verbose_name_plural = "stock"
        ordering = ("bin",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(received__gte=models.F("held") + models.F("sold")), name="stock_never_oversold"
            ),
        )

    def __str__(self) -> str:
        return self.bin

    @property
    def free(self) -> int:
        """Units that can still be ordered."""
        return self.received - self.held - self.sold


class Movement(models.Model):
    """One change of one bin: by how much, who made it and why. Written once; the database refuses to change it.

    The sum of a bin's movements is what its `Stock` says, also once old ones are folded into lines that are carried
    forward; see `compaction.py`.
    """

    class Kind(models.TextChoices):
        """What happened."""

        OPENED = "opened", "Opening balance"
        RECEIVED = "received", "Received"
        CORRECTED = "corrected", "Corrected"
        SET_ASIDE = "set aside", "Set aside for a sale"
        HELD = "held", "Held"
        SOLD = "sold", "Sold"
        RELEASED = "released", "Released"
        EXPIRED = "expired", "Hold expired"

    at = models.DateTimeField(db_default=Now())
    bin = models.CharField(max_length=40)
    sku = models.CharField(max_length=20)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    received = models.IntegerField(default=0)
    held = models.IntegerField(default=0)
    sold = models.IntegerField(default=0)
    order_id = models.UUIDField(null=True, blank=True)
    """For whose sake, where it was an order's."""
    by = models.CharField(max_length=80)
    """Who: a person's name, or the part of the shop."""
    reason = models.CharField(max_length=200)
    carried = models.PositiveIntegerField(default=0, db_default=0)
    """So many old movements this line stands for; 0 for one that is just itself. See `compaction.py`."""

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["bin", "kind"], name="movement_carried_once", condition=models.Q(carried__gt=0)
            ),
        )
        indexes = (
            models.Index(fields=["sku", "-id"], name="movement_of_sku"),
            models.Index(fields=["at"], name="movement_to_carry", condition=models.Q(carried=0)),
        )

    def __str__(self) -> str:
        return f"{self.bin}: {self.get_kind_display()}"


class Reservation(models.Model):
    """What inventory did about one order. There is one row per order, ever: it is what makes every step happen once."""

    class State(models.TextChoices):
        """How far it is."""

        HELD = "held", "Held"
        SOLD = "sold", "Sold"
        RELEASED = "released", "Released"
        EXPIRED = "expired", "Expired"
        REFUSED = "refused", "Refused"

    order_id = models.UUIDField(primary_key=True)
    flow = models.CharField(max_length=20)
    state = models.CharField(max_length=10, choices=State.choices)
    expires_at = models.DateTimeField(null=True, blank=True)
    """A hold that is not paid by then is given up."""
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=["expires_at"], name="reservation_expiring", condition=models.Q(state="held")),)

    def __str__(self) -> str:
        return f"{self.order_id}: {self.state}"


class Hold(models.Model):
    """Units of one sku that belong to one reservation, be they held, sold or released again."""

    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, related_name="holds")
    sku = models.CharField(max_length=20, db_index=True)
    bin = models.CharField(max_length=40)
    quantity = models.PositiveSmallIntegerField()
    given_back = models.PositiveSmallIntegerField(default=0)
    """Of these units, those that the order was reduced by."""
    customer = models.CharField(max_length=32, blank=True)
    """Whose they are, as a pseudonym; only where the bin has a limit per customer."""

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["reservation", "sku"], name="hold_once_per_sku"),
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="hold_at_least_one"),
            models.CheckConstraint(
                condition=models.Q(given_back__lte=models.F("quantity")), name="hold_gives_back_no_more_than_it_has"
            ),
        )
        indexes = (models.Index(fields=["customer", "bin"], name="hold_of_customer", condition=~models.Q(customer="")),)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"
