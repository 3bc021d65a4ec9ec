"""How orders are narrowed down."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orders.models import Order
from payments.models import Charge, Refund

STUCK_SECONDS = 60


def stuck_orders() -> QuerySet[Order]:
    """Orders that should long be confirmed or cancelled and are not."""
    return Order.objects.filter(is_stuck())


def is_stuck() -> Q:
    """Neither confirmed nor cancelled after `STUCK_SECONDS`; worded like the index of unconfirmed orders."""
    return (
        Q(confirmed_at=None)
        & ~Q(status="CANCELLED")
        & Q(placed_at__lt=timezone.now() - timedelta(seconds=STUCK_SECONDS))
    )


class StuckFilter(admin.SimpleListFilter):
    """Orders that wait for something."""

    title = "progress"
    parameter_name = "progress"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [
            ("stuck", f"Stuck: unconfirmed after {STUCK_SECONDS} s"),
            ("unconfirmed", "Not confirmed yet"),
            ("refund", "Cancelled, money not back yet"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """The orders of the choice."""
        match self.value():
            case "stuck":
                return queryset.filter(is_stuck())
            case "unconfirmed":
                return queryset.filter(Q(confirmed_at=None) & ~Q(status="CANCELLED"))
            case "refund":
                return queryset.filter(status="CANCELLED", refunded_at=None).exclude(payment_reference="")
        return queryset


class PaymentFilter(admin.SimpleListFilter):
    """What payments says of the order's money."""

    title = "payment"
    parameter_name = "payment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [
            ("none", "Not asked for"),
            ("open", "Under way"),
            ("action_required", "Waits for the buyer"),
            ("unknown", "Outcome unknown"),
            ("taken", "Taken"),
            ("failed", "Refused"),
            ("cancelled", "Given up before it was taken"),
            ("refunding", "Refund under way"),
            ("refunded", "Refunded"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """The orders of the choice."""
        charge = Charge.objects.filter(order_id=OuterRef("pk"))
        refund = Refund.objects.filter(charge__order_id=OuterRef("pk"))
        match self.value():
            case "none":
                # Whoever has paid has a charge; saying so spares looking for those of all kept orders.
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
    """How long ago; whole days, months and years stand above the list."""

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
        """The choices."""
        return [(name, title) for name, (title, _) in self.SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """The orders of the choice."""
        if (chosen := self.SPANS.get(self.value() or "")) is None:
            return queryset
        return queryset.filter(placed_at__gte=timezone.now() - chosen[1])
