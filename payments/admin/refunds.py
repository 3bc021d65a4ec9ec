"""Refunds: money that goes back."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from kafka_bridge import admin as facts
from payments.admin import messages
from payments.models import Charge, Refund


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
        return facts.link(messages.order_page(refund.charge.order_id), refund.charge.order_id)

    @admin.display(description="order")
    def of_order(self, refund: Refund) -> str:
        """The end of the order's id, with a link to its page."""
        return facts.short_link(messages.order_page(refund.charge.order_id), refund.charge.order_id)

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
        return messages.sum_of(refund.amount_minor, refund.charge.currency)

    @admin.display(description="state", ordering="state")
    def state_label(self, refund: Refund) -> str:
        """How far it is."""
        return facts.label(refund.get_state_display(), messages.REFUND_COLOURS[Refund.State(refund.state)])
