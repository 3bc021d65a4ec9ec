"""The filters of the order list."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orders.models import Order, PaymentWait, Status
from payments.models import Charge, Refund

STUCK_SECONDS = 60


def stuck_orders() -> QuerySet[Order]:
    """Orders that should have been confirmed or cancelled by now."""
    return Order.objects.filter(is_stuck())


def is_stuck() -> Q:
    """Neither confirmed nor cancelled after `STUCK_SECONDS`, without a reason; matches the index of unconfirmed orders.

    A buyer who is to confirm the payment at the bank is a reason, until the time for that is over.
    """
    now = timezone.now()
    # As what is not so, since a comparison with no time at all is neither true nor false.
    not_at_the_bank = ~Q(payment_wait=PaymentWait.ACTION) | Q(payment_until__isnull=False, payment_until__lte=now)
    return (
        Q(confirmed_at=None)
        & ~Q(status="CANCELLED")
        & Q(placed_at__lt=now - timedelta(seconds=STUCK_SECONDS))
        & not_at_the_bank
    )


def is_at_the_bank(order: Order) -> bool:
    """Whether the order waits for its buyer, who still has time to confirm the payment."""
    in_time = order.payment_until is None or order.payment_until > timezone.now()
    return order.status == Status.PENDING and order.payment_wait == PaymentWait.ACTION and in_time


class StuckFilter(admin.SimpleListFilter):
    """Orders that are waiting for something."""

    title = "progress"
    parameter_name = "progress"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The options of the filter."""
        return [
            ("stuck", f"Stuck: unconfirmed after {STUCK_SECONDS} s"),
            ("unconfirmed", "Not confirmed yet"),
            ("refund", "Cancelled, not refunded yet"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """The orders of the chosen option."""
        match self.value():
            case "stuck":
                return queryset.filter(is_stuck())
            case "unconfirmed":
                return queryset.filter(Q(confirmed_at=None) & ~Q(status="CANCELLED"))
            case "refund":
                return queryset.filter(status="CANCELLED", refunded_at=None).exclude(payment_reference="")
        return queryset


class PaymentFilter(admin.SimpleListFilter):
    """The state of the payment."""

    title = "payment"
    parameter_name = "payment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The options of the filter."""
        return [
            ("none", "Not requested"),
            ("open", "Under way"),
            ("action_required", "Waiting for the buyer"),
            ("unknown", "Outcome unknown"),
            ("taken", "Captured"),
            ("failed", "Refused"),
            ("cancelled", "Cancelled before capture"),
            ("refunding", "Refund under way"),
            ("refunded", "Refunded"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """The orders of the chosen option."""
        charge = Charge.objects.filter(order_id=OuterRef("pk"))
        refund = Refund.objects.filter(charge__order_id=OuterRef("pk"))
        match self.value():
            case "none":
                # A paid order has a charge. The redundant condition saves PostgreSQL the look-up for all paid orders.
                return queryset.filter(~Exists(charge), paid_at=None)
            case "taken":
                return queryset.filter(Exists(charge.filter(state="succeeded")), ~Exists(refund))
            case "open":
                return queryset.filter(Exists(charge.filter(state__in=list(Charge.OPEN))))
            case "unknown":
                return queryset.filter(Exists(charge.filter(unknown_since__isnull=False)))
            case "action_required" | "failed" | "cancelled" as state:
                return queryset.filter(Exists(charge.filter(state=state)))
            case "refunding":
                return queryset.filter(Exists(refund.filter(state="requested")))
            case "refunded":
                return queryset.filter(Exists(refund.filter(state="succeeded")))
        return queryset


class PlacedFilter(admin.SimpleListFilter):
    """By age; whole days, months and years are chosen above the list."""

    title = "placed"
    parameter_name = "placed"
    SPANS = {  # noqa: RUF012 - read only
        "5min": ("In the last 5 minutes", timedelta(minutes=5)),
        "1h": ("In the last hour", timedelta(hours=1)),
        "24h": ("In the last 24 hours", timedelta(hours=24)),
        "7d": ("In the last 7 days", timedelta(days=7)),
        "30d": ("In the last 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The options of the filter."""
        return [(name, title) for name, (title, _) in self.SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """The orders of the chosen option."""
        if (chosen := self.SPANS.get(self.value() or "")) is None:
            return queryset
        return queryset.filter(placed_at__gte=timezone.now() - chosen[1])
