"""Charges: what was asked of the gateway, and what it answered."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from kafka_bridge import admin as facts
from payments.admin import messages
from payments.admin.inlines import HistoryInline, RefundInline, ReviewInline, WebhookInline
from payments.models import Charge

State = Charge.State


class ProgressFilter(admin.SimpleListFilter):
    """Whether something is still to come of the charge."""

    title = "progress"
    parameter_name = "progress"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [
            ("open", "Not settled yet"),
            ("unknown", "Outcome unknown"),
            ("barred", "Order over, not settled yet"),
            ("refunded", "Money went back, or is to"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Charge]) -> QuerySet[Charge]:
        """The charges of the choice."""
        is_open = Q(state__in=list(Charge.OPEN))
        match self.value():
            case "open":
                return queryset.filter(is_open)
            case "unknown":
                return queryset.filter(is_open, unknown_since__isnull=False)
            case "barred":
                return queryset.filter(is_open, Q(cancel_requested=True) | Q(state=State.VOIDING))
            case "refunded":
                return queryset.filter(refunded_minor__gt=0)
        return queryset


@admin.register(Charge)
class ChargeAdmin(facts.FactsAdmin):
    """The one charge of each order."""

    list_display = ("made", "sum", "state_label", "of_order", "payment_method", "attempts", "trouble", "back")
    list_display_links = ("made", "sum")
    list_filter = ("state", ProgressFilter)
    search_fields = ("order_id",)
    search_help_text = "Order id, charge id or transaction id, complete"
    ordering = ("-id",)  # the ids grow with time, and the key has an index
    fieldsets = (
        (None, {"fields": ("order", "sum", "state_label", "refunded", "transaction_id", "payment_method", "flow")}),
        (
            "The gateway",
            {"fields": ("next_step", "attempts", "unknown", "failure_reason", "last_error", "confirm_by", "barred")},
        ),
        ("Time", {"fields": ("made", "settled")}),
    )
    readonly_fields = (
        "order", "sum", "state_label", "refunded", "next_step", "unknown", "confirm_by", "barred", "made", "settled",
    )  # fmt: skip
    inlines = (HistoryInline, RefundInline, WebhookInline, ReviewInline)

    def get_inlines(self, request: HttpRequest, obj: Charge | None) -> list[type[facts.FactsInline]]:
        """Those that have something to show."""
        if obj is None:
            return []
        return [inline for inline in self.inlines if inline.model.objects.filter(charge=obj).exists()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Charge]:
        """Charges with their refunds."""
        rows: QuerySet[Charge] = super().get_queryset(request)
        return rows.prefetch_related("refunds")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Charge], search_term: str
    ) -> tuple[QuerySet[Charge], bool]:
        """Charges by one of their ids."""
        if not (term := search_term.strip()):
            return queryset, False
        key = facts.as_uuid(term)
        if key is None:
            return queryset.filter(transaction_id=term), False
        return queryset.filter(order_id=key) | queryset.filter(pk=key), False

    @admin.display(description="order")
    def order(self, charge: Charge) -> str:
        """The order's id, with a link to its page."""
        return facts.link(messages.order_page(charge.order_id), charge.order_id)

    @admin.display(description="order")
    def of_order(self, charge: Charge) -> str:
        """The end of the order's id, with a link to its page."""
        return facts.short_link(messages.order_page(charge.order_id), charge.order_id)

    @admin.display(description="asked for")
    def made(self, charge: Charge) -> str:
        """When it was asked for."""
        return facts.moment(charge.created_at)

    @admin.display(description="settled", empty_value="")
    def settled(self, charge: Charge) -> str | None:
        """When the gateway's answer was written down."""
        return facts.moment(charge.settled_at) or None

    @admin.display(description="amount", ordering="amount_minor")
    def sum(self, charge: Charge) -> str:
        """In major units, with the currency."""
        return messages.sum_of(charge.amount_minor, charge.currency)

    @admin.display(description="state", ordering="state")
    def state_label(self, charge: Charge) -> str:
        """How far it is."""
        return messages.state_label(charge)

    @admin.display(description="refunded", empty_value="nothing")
    def refunded(self, charge: Charge) -> str | None:
        """What went back, or is on its way back."""
        return messages.sum_of(charge.refunded_minor or None, charge.currency) or None

    @admin.display(description="asked next", empty_value="nothing; it is settled")
    def next_step(self, charge: Charge) -> str | None:
        """What it waits for, and what the gateway is asked next and when."""
        return messages.waits(charge) or None

    @admin.display(description="outcome unknown since", empty_value="")
    def unknown(self, charge: Charge) -> str | None:
        """Since when nobody knows whether the gateway did what it was asked."""
        return facts.moment(charge.unknown_since) or None

    @admin.display(description="to be confirmed by", empty_value="")
    def confirm_by(self, charge: Charge) -> str | None:
        """Until when the buyer may confirm it; the bank's page is for the buyer alone, so there is no link."""
        return facts.moment(charge.act_by) if charge.state == State.ACTION_REQUIRED else None

    @admin.display(description="order is over")
    def barred(self, charge: Charge) -> str:
        """Whether no money shall be taken any more, or what was taken shall go back."""
        return "yes; nothing more is taken, and what was taken goes back" if charge.cancel_requested else "no"

    @admin.display(description="trouble", empty_value="")
    def trouble(self, charge: Charge) -> Any:
        """Why the gateway refused, or why its answer is not known yet."""
        return charge.failure_reason or charge.last_error or None

    @admin.display(description="refunded", empty_value="")
    def back(self, charge: Charge) -> Any:
        """Whether money went back, or is to."""
        states = [refund.get_state_display().lower() for refund in charge.refunds.all()]
        return ", ".join(states) or None
