"""Charges and refunds: what was asked of the gateway, and what it answered."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from kafka_bridge import admin as facts
from payments.models import Charge, Refund

CHARGE_COLOURS = {
    Charge.State.REQUESTED: "warning",
    Charge.State.SUCCEEDED: "success",
    Charge.State.FAILED: "danger",
    Charge.State.CANCELLED: "",
}
REFUND_COLOURS = {Refund.State.REQUESTED: "warning", Refund.State.SUCCEEDED: "success"}


def _order_page(order_id: UUID) -> str:
    return reverse("admin:orders_order_change", args=[order_id])


def _nowrap(words: str) -> str:
    return format_html('<span class="br-nowrap">{}</span>', words)


class RefundInline(facts.FactsInline):
    """What went back of a charge."""

    model = Refund
    fields = readonly_fields = (
        "amount",
        "reason",
        "state",
        "transaction_id",
        "attempts",
        "last_error",
        "created_at",
        "settled_at",
    )


@admin.register(Charge)
class ChargeAdmin(facts.FactsAdmin):
    """The one charge of each order."""

    list_display = ("made", "sum", "state_label", "of_order", "payment_method", "attempts", "trouble", "back")
    list_display_links = ("made", "sum")
    list_filter = ("state", "cancel_requested")
    search_fields = ("order_id",)
    search_help_text = "Order id, charge id or transaction id, complete"
    ordering = ("-id",)  # the ids grow with time, and the key has an index
    fieldsets = (
        (None, {"fields": ("order", "sum", "state_label", "transaction_id", "payment_method", "flow")}),
        (
            "The gateway",
            {"fields": ("attempts", "failure_reason", "last_error", "next_attempt_at", "cancel_requested")},
        ),
        ("Time", {"fields": ("made", "settled")}),
    )
    readonly_fields = ("order", "sum", "state_label", "made", "settled")
    inlines = (RefundInline,)

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
        return facts.link(_order_page(charge.order_id), charge.order_id)

    @admin.display(description="order")
    def of_order(self, charge: Charge) -> str:
        """The end of the order's id, with a link to its page."""
        return facts.short_link(_order_page(charge.order_id), charge.order_id)

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
        return _nowrap(f"{charge.amount:,.2f} {charge.currency}")

    @admin.display(description="state", ordering="state")
    def state_label(self, charge: Charge) -> str:
        """How far it is."""
        return facts.label(charge.get_state_display(), CHARGE_COLOURS[Charge.State(charge.state)])

    @admin.display(description="why not", empty_value="")
    def trouble(self, charge: Charge) -> Any:
        """Why the gateway refused, or why its answer is not known yet."""
        return charge.failure_reason or charge.last_error or None

    @admin.display(description="refunded", empty_value="")
    def back(self, charge: Charge) -> Any:
        """Whether money went back, or is to."""
        states = [refund.get_state_display().lower() for refund in charge.refunds.all()]
        return ", ".join(states) or None


@admin.register(Refund)
class RefundAdmin(facts.FactsAdmin):
    """Money that goes back; one that the gateway keeps refusing needs a person."""

    list_display = ("made", "sum", "state_label", "of_order", "reason", "attempts", "last_error", "settled")
    list_display_links = ("made", "sum")
    list_filter = ("state",)
    search_fields = ("charge__order_id",)
    search_help_text = "Order id, refund id or transaction id, complete"
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("order", "of_charge", "sum", "reason", "state_label", "transaction_id")}),
        ("The gateway", {"fields": ("attempts", "last_error", "next_attempt_at")}),
        ("Time", {"fields": ("made", "settled")}),
    )
    readonly_fields = ("order", "of_charge", "sum", "state_label", "made", "settled")
    list_select_related = ("charge",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Refund], search_term: str
    ) -> tuple[QuerySet[Refund], bool]:
        """Refunds by one of their ids."""
        if not (term := search_term.strip()):
            return queryset, False
        key = facts.as_uuid(term)
        if key is None:
            return queryset.filter(transaction_id=term), False
        return queryset.filter(charge__order_id=key) | queryset.filter(pk=key), False

    @admin.display(description="order")
    def order(self, refund: Refund) -> str:
        """The order's id, with a link to its page."""
        return facts.link(_order_page(refund.charge.order_id), refund.charge.order_id)

    @admin.display(description="order")
    def of_order(self, refund: Refund) -> str:
        """The end of the order's id, with a link to its page."""
        return facts.short_link(_order_page(refund.charge.order_id), refund.charge.order_id)

    @admin.display(description="asked for")
    def made(self, refund: Refund) -> str:
        """When it was asked for."""
        return facts.moment(refund.created_at)

    @admin.display(description="settled", empty_value="")
    def settled(self, refund: Refund) -> str | None:
        """When the gateway's answer was written down."""
        return facts.moment(refund.settled_at) or None

    @admin.display(description="charge")
    def of_charge(self, refund: Refund) -> str:
        """The charge that it undoes, with a link to its page."""
        return facts.link(facts.page_of(Charge, refund.charge_id), refund.charge)

    @admin.display(description="amount", ordering="amount_minor")
    def sum(self, refund: Refund) -> str:
        """In major units, with the currency."""
        return _nowrap(f"{refund.amount:,.2f} {refund.charge.currency}")

    @admin.display(description="state", ordering="state")
    def state_label(self, refund: Refund) -> str:
        """How far it is."""
        return facts.label(refund.get_state_display(), REFUND_COLOURS[Refund.State(refund.state)])
