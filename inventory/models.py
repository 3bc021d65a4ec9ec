"""Stock, who holds or bought how much of it, and every movement that led there.

# Note [Stock pools]
A *stock pool* is the unit that is locked, counted and sold from: the ordinary units of a sku, or those set aside for
one sale. Tables and model fields call it `bin`, which is its primary key; everywhere else it is a pool.
"""

from django.db import models
from django.db.models.functions import Now

UNITS_MAX = 20
"""Units of one sku in one order. A larger number is a mistake or an attack."""


def pool_name(sku: str, sale_id: int | None = None) -> str:
    """The stock pool with a sku's ordinary units, or with the units set aside for a sale."""
    return sku if sale_id is None else f"{sku}@{sale_id}"


def sku_of_pool(pool: str) -> str:
    """The sku of a pool, by its name."""
    return pool.partition("@")[0]


class Stock(models.Model):
    """Units of one sku in one stock pool. A constraint of the table prevents holding or selling more than was received.

    Each sku has an ordinary pool with the sku's own name, and another one for each sale with units set aside. Moving
    units between the two changes `received` of both, never their sum. See Note [Stock pools].
    """

    bin = models.CharField(max_length=40, primary_key=True)
    sku = models.CharField(max_length=20, db_index=True)
    received = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)
    sold = models.PositiveIntegerField(default=0)
    version = models.PositiveBigIntegerField(default=0)
    """Increases with every change, so that the Redis counters can tell which of two counts is newer."""
    updated_at = models.DateTimeField(db_default=Now())

    sale_id = models.BigIntegerField(null=True, blank=True)
    """The sale for which these units were set aside; it also sets the three fields below."""
    customer_limit = models.PositiveSmallIntegerField(null=True, blank=True)
    """Units of this pool that one customer may have, over all orders."""
    hold_seconds = models.PositiveIntegerField(null=True, blank=True)
    """How long units are held for an unpaid order; None for `settings.HOLD_SECONDS`."""
    closes_at = models.DateTimeField(null=True, blank=True)
    """When free units start to go back to the ordinary pool."""

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


class PoolTurn(models.Model):
    """A pool has got its first free unit, or given away its last one. A trigger writes it, whoever follows takes it."""

    bin = models.CharField(max_length=40)

    def __str__(self) -> str:
        return self.bin


class Movement(models.Model):
    """One change of one stock pool: by how much, by whom and why. A trigger of the table refuses updates and deletes.

    The movements of a pool add up to its `Stock`, also after old movements are compacted into one line; see
    `compaction.py`.
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
    """The order that caused it, if any."""
    by = models.CharField(max_length=80)
    """A user name, or the part of the shop that did it."""
    reason = models.CharField(max_length=200)
    carried = models.PositiveIntegerField(default=0, db_default=0)
    """Number of old movements that this line replaces; 0 for an ordinary movement. See `compaction.py`."""

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
    """What inventory did about one order. There is exactly one row per order, which makes every step idempotent."""

    class State(models.TextChoices):
        """The states of a reservation."""

        HELD = "held", "Held"
        SOLD = "sold", "Sold"
        RELEASED = "released", "Released"
        EXPIRED = "expired", "Expired"
        REFUSED = "refused", "Refused"

    order_id = models.UUIDField(primary_key=True)
    flow = models.CharField(max_length=20)
    state = models.CharField(max_length=10, choices=State.choices)
    expires_at = models.DateTimeField(null=True, blank=True)
    """When an unpaid hold expires."""
    visitor = models.CharField(max_length=32, blank=True, default="", db_default="")
    """Who ordered, as a pseudonym."""
    network = models.CharField(max_length=32, blank=True, default="", db_default="")
    """The network that the order came from, as a pseudonym."""
    waiting_since = models.DateTimeField(null=True, blank=True)
    """Since when the buyer is to confirm the payment at the bank."""
    too_many_unpaid = models.BooleanField(default=False, db_default=False)
    """Whether the hold is given up because its visitor or network has too many that wait."""
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=["expires_at"], name="reservation_expiring", condition=models.Q(state="held")),
            models.Index(
                fields=["waiting_since"],
                name="reservation_waiting",
                condition=models.Q(state="held", waiting_since__isnull=False),
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state__in=["held", "sold", "released", "expired", "refused"]),
                name="reservation_state_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.order_id}: {self.state}"


class Hold(models.Model):
    """Units of one sku that belong to one reservation, whether held, sold or released."""

    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, related_name="holds", db_index=False)
    sku = models.CharField(max_length=20, db_index=True)
    bin = models.CharField(max_length=40)
    quantity = models.PositiveSmallIntegerField()
    given_back = models.PositiveSmallIntegerField(default=0)
    """Units of these that were cancelled and given back."""
    customer = models.CharField(max_length=32, blank=True)
    """The buyer, as a pseudonym; only for pools with a limit per customer."""
    contact = models.CharField(max_length=32, blank=True, default="", db_default="")
    """The buyer's mail address, as a pseudonym; likewise."""

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["reservation", "sku"], name="hold_once_per_sku"),
            models.CheckConstraint(condition=models.Q(quantity__gte=1), name="hold_at_least_one"),
            models.CheckConstraint(
                condition=models.Q(given_back__lte=models.F("quantity")), name="hold_gives_back_no_more_than_it_has"
            ),
        )
        indexes = (
            models.Index(fields=["customer", "bin"], name="hold_of_customer", condition=~models.Q(customer="")),
            models.Index(fields=["contact", "bin"], name="hold_of_contact", condition=~models.Q(contact="")),
        )

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"
