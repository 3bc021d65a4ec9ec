"""Orders, their lines, their trail, their shipments and mails."""

import uuid
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

import money
from events import catalogue
from orders import cancel_reasons
from orders.coupons.tables import Coupon as Coupon
from orders.coupons.tables import CouponUse as CouponUse
from orders.order_line import OrderLine as OrderLine
from orders.order_set import OrderQuerySet
from orders.withdrawal_table import Withdrawal as Withdrawal


class Status(models.TextChoices):
    """Where an order stands."""

    PENDING = "PENDING", "Pending"
    PAID = "PAID", "Paid"
    SHIPPED = "SHIPPED", "Shipped"
    DELIVERED = "DELIVERED", "Delivered"
    CANCELLED = "CANCELLED", "Cancelled"


MOVES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.PAID, Status.CANCELLED}),
    Status.PAID: frozenset({Status.SHIPPED, Status.CANCELLED}),
    Status.SHIPPED: frozenset({Status.DELIVERED}),
    Status.DELIVERED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""From which status an order may move to which. What each event does to each status stands in `transitions.py`."""


class PaymentWait(models.TextChoices):
    """What a payment waits for."""

    ACTION = "action", "Confirmation by the buyer"
    UNKNOWN = "unknown", "The gateway's answer"


class IllegalMove(Exception):
    """An order cannot go from its status to that one; look at `models.MOVES`, and ask before moving."""


def new_id() -> uuid.UUID:
    """Ids that grow with time, so that a busy table's index is written at its end."""
    return uuid7()


class Order(models.Model):
    """What was bought, at which prices, and how far it got."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    reference = models.CharField(max_length=16, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, db_index=False)
    flow = models.CharField(max_length=20, choices=[(flow, flow.replace("_", " ")) for flow in catalogue.FLOWS])
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    version = models.PositiveIntegerField(default=1)
    """Grows with every change; a page that shows a lower one is out of date."""

    name = models.CharField(max_length=120)
    email = models.EmailField()
    address_line1 = models.CharField(max_length=200)
    address_line2 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100)
    postcode = models.CharField(max_length=20)
    country = models.CharField(max_length=2)

    currency = models.CharField(max_length=3)
    total_minor = models.PositiveBigIntegerField()
    """What the buyer pays for it in the end, in minor units (cents); units that were cancelled are no part of it."""
    shipping_method = models.CharField(max_length=60, blank=True, default="", db_default="")
    """As it was called; empty where there was none to choose."""
    shipping_minor = models.BigIntegerField(default=0, db_default=0)
    """What is paid for shipping, with its tax: with the lines it makes up the total."""
    shipping_tax_minor = models.BigIntegerField(default=0, db_default=0)
    """The tax in that."""
    books_tax_ppm = models.IntegerField(default=0, db_default=0)
    """The rate of tax on the lines, in millionths."""
    shipping_tax_ppm = models.IntegerField(default=0, db_default=0)
    is_tax_added = models.BooleanField(default=False, db_default=False)
    """Whether tax came on top of the prices; otherwise it was in them."""
    coupon_code = models.CharField(max_length=30, blank=True, default="", db_default="")
    payment_method = models.CharField(max_length=80)
    payment_reference = models.CharField(max_length=120, blank=True)
    payment_wait = models.CharField(max_length=10, choices=PaymentWait.choices, blank=True, default="", db_default="")
    """What the payment waits for, as far as the buyer is to know; empty where it just runs or is over."""
    payment_url = models.CharField(max_length=2000, blank=True, default="", db_default="")
    """Where the buyer confirms the payment."""
    payment_until = models.DateTimeField(null=True, blank=True)
    """Until then the payment has to be confirmed."""
    cancel_reason = models.CharField(max_length=cancel_reasons.LENGTH, blank=True)
    """The text of a `CancelReason`; empty for an order that was not cancelled."""

    placed_at = models.DateTimeField(db_default=Now())
    deadline_at = models.DateTimeField()
    """Until then the order is confirmed, or the timekeeper cancels it."""
    held_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    shipped_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    refunded_at = models.DateTimeField(null=True, blank=True)

    idempotency_key = models.UUIDField(unique=True)
    request_digest = models.CharField(max_length=64)
    """SHA-256 of what was asked for: the same key with other contents is refused."""

    objects = OrderQuerySet.as_manager()

    class Meta:
        ordering = ("-placed_at",)
        indexes = (
            models.Index(fields=["-placed_at"], name="order_placed"),
            models.Index(fields=["user", "-placed_at"], name="order_user"),
            models.Index(
                fields=["deadline_at"],
                name="order_unconfirmed",
                condition=models.Q(confirmed_at=None) & ~models.Q(status="CANCELLED"),
            ),
            # Who waits for what, and for how long; see shop/operations/overview/waiting_orders.py.
            models.Index(
                fields=["confirmed_at"],
                name="order_to_ship",
                condition=models.Q(status="PAID", confirmed_at__isnull=False),
            ),
            models.Index(fields=["shipped_at"], name="order_to_deliver", condition=models.Q(status="SHIPPED")),
            models.Index(
                fields=["cancelled_at"],
                name="order_to_refund",
                condition=models.Q(status="CANCELLED", refunded_at=None) & ~models.Q(payment_reference=""),
            ),
        )
        constraints = (
            models.CheckConstraint(condition=models.Q(status__in=Status.values), name="order_status_known"),
            models.CheckConstraint(condition=models.Q(flow__in=catalogue.FLOWS), name="order_flow_known"),
        )

    def __str__(self) -> str:
        return self.reference

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.read_version = self.version

    @property
    def total(self) -> Decimal:
        """The total in major units."""
        return money.to_major(self.total_minor, self.currency)

    @property
    def why_cancelled(self) -> cancel_reasons.CancelReason | None:
        """Why it was cancelled; None where it was not, or nothing is known of it."""
        return cancel_reasons.CancelReason.parse(self.cancel_reason)

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself; a cancelled order whose money is in waits for its refund."""
        if self.status == Status.CANCELLED:
            return self.refunded_at is not None or not self.payment_reference
        return self.status == Status.DELIVERED

    @property
    def is_confirmed(self) -> bool:
        """Paid and held."""
        return self.confirmed_at is not None

    def move_to(self, status: Status, *, at: datetime) -> None:
        """Change the status in memory; `objects.write` brings it to the database. Nothing else writes a status.

        Raises:
            IllegalMove: `MOVES` does not know the step.
        """
        if status not in MOVES[Status(self.status)]:
            raise IllegalMove(f"{self.reference} cannot go from {self.status} to {status}")
        self.status = status
        self.payment_wait, self.payment_url, self.payment_until = "", "", None
        setattr(self, f"{status.lower()}_at", at)
        self.touch()

    def touch(self) -> None:
        """Count a change, once per read: several changes written together are one version."""
        self.version = self.read_version + 1

    @property
    def is_changed(self) -> bool:
        """Whether there is something for `objects.write`."""
        return self.version != self.read_version


class TrailEntry(models.Model):
    """What was heard or done about an order, and what the order answered. Written once, never changed."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="trail")
    version = models.PositiveIntegerField()
    what = models.CharField(max_length=80)
    """An event's type, or what a person did."""
    answer = models.CharField(max_length=20)
    status = models.CharField(max_length=10)
    """The order's status afterwards."""
    detail = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ("id",)
        verbose_name_plural = "trail entries"

    def __str__(self) -> str:
        return f"{self.what}: {self.answer}"


class Shipment(models.Model):
    """The parcel of one order."""

    class State(models.TextChoices):
        """How far the parcel is."""

        PACKED = "packed", "Packed"
        SHIPPED = "shipped", "Shipped"
        DELIVERED = "delivered", "Delivered"
        STOPPED = "stopped", "Stopped"

    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="shipment")
    carrier = models.CharField(max_length=40)
    tracking_number = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PACKED)
    due_at = models.DateTimeField()
    """When the carrier takes the next step."""
    caused_by = models.UUIDField(null=True, blank=True)
    """The id of the event that had it packed; its way is told as following from that."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = (
            models.Index(fields=["due_at"], name="shipment_due", condition=models.Q(state__in=["packed", "shipped"])),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state__in=["packed", "shipped", "delivered", "stopped"]), name="shipment_state_known"
            ),
        )

    def __str__(self) -> str:
        return self.tracking_number


class ReturnRequest(models.Model):
    """Copies that a buyer wants to send back: asked for, and staff accept (their money goes back) or decline it with a
    reason; or withdrawn from, which staff cannot decline."""

    class State(models.TextChoices):
        """How far it is."""

        ASKED = "asked", "Asked for"
        WITHDRAWN = "withdrawn", "Withdrawn, books awaited"
        ACCEPTED = "accepted", "Accepted"
        DECLINED = "declined", "Declined"

    OPEN = (State.ASKED, State.WITHDRAWN)
    """Those that staff still have to do something about."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="return_requests")
    units = models.JSONField()
    """Copies by sku."""
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    answer = models.CharField(max_length=500, blank=True)
    """What staff tell the buyer."""
    asked_at = models.DateTimeField(db_default=Now())
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=["order"], name="return_asked_once", condition=models.Q(state="asked")),
            models.UniqueConstraint(
                fields=["order"], name="return_awaited_once", condition=models.Q(state="withdrawn")
            ),
        )

    def __str__(self) -> str:
        return f"{self.order} {self.get_state_display().lower()}"


class OrderMail(models.Model):
    """A mail that an order owes its buyer: one of each kind and number. Sending is at least once."""

    class Kind(models.TextChoices):
        """What the mail tells."""

        CONFIRMED = "confirmed", "Order confirmed"
        SHIPPED = "shipped", "Parcel on its way"
        DELIVERED = "delivered", "Parcel delivered"
        CONFIRM_PAYMENT = "pay", "Please confirm your payment"
        REDUCED = "reduced", "Part of the order cancelled"
        RETURN_ACCEPTED = "returned", "Return accepted"
        RETURN_DECLINED = "kept", "Return declined"
        CANCELLED = "cancelled", "Order cancelled"
        REFUNDED = "refunded", "Money refunded"
        WITHDRAWN = "withdrawn", "Receipt of your withdrawal"

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="mails", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    number = models.PositiveSmallIntegerField(default=1, db_default=1)
    """Which of several: an order may be reduced, and get money back, more than once."""
    amount_minor = models.PositiveBigIntegerField(null=True, blank=True)
    """The money that this mail is about, where it is about money."""
    reason = models.CharField(max_length=500, blank=True, default="", db_default="")
    """Why, where that may be another reason each time."""
    created_at = models.DateTimeField(db_default=Now())
    next_attempt_at = models.DateTimeField(db_default=Now())
    """When it is tried next; for a mail that is being sent: when another process may take it over."""
    attempts = models.PositiveIntegerField(default=0)
    """Attempts so far; also the number of the claim: who has claimed a mail knows by it whether it still has it."""
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, default="", db_default="")
    """Why the last attempt failed."""
    failed_at = models.DateTimeField(null=True, blank=True)
    """When the shop stopped trying; only a person can do something about it then."""
    closed_at = models.DateTimeField(null=True, blank=True)
    """When a person decided that it is not to be sent any more."""
    caused_by = models.UUIDField(null=True, blank=True)
    """The id of the event that made it due, for traces."""

    class Meta:
        constraints = (models.UniqueConstraint(fields=["order", "kind", "number"], name="mail_once_per_number"),)
        indexes = (
            models.Index(fields=["next_attempt_at"], name="mail_due", condition=models.Q(sent_at=None, failed_at=None)),
            models.Index(
                fields=["failed_at"],
                name="mail_failed",
                condition=models.Q(failed_at__isnull=False, closed_at=None),
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.order_id}"

    @property
    def has_failed(self) -> bool:
        """Whether it waits for a person: the shop has stopped trying, and nobody has closed it."""
        return self.failed_at is not None and self.closed_at is None

    @property
    def amount(self) -> Decimal | None:
        """The money that this mail is about, in major units."""
        return None if self.amount_minor is None else money.to_major(self.amount_minor, self.order.currency)
