"""What stands below a charge: its history, its webhooks, its refunds, and what of it needs a person."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from kafka_bridge import admin as facts
from payments.admin import messages
from payments.models import ChargeEntry, GatewayNotice, Refund, Review


class HistoryInline(facts.FactsInline):
    """All that was asked, answered and done, in its order."""

    model = ChargeEntry
    hide_title = True
    verbose_name_plural = "history"
    ordering = ("id",)
    fields = readonly_fields = ("when", "what", "state", "sum", "detail")

    @admin.display(description="when")
    def when(self, entry: ChargeEntry) -> str:
        """To the second."""
        return facts.moment(entry.at)

    @admin.display(description="amount", empty_value="")
    def sum(self, entry: ChargeEntry) -> str | None:
        """In major units, with the currency."""
        return messages.sum_of(entry.amount_minor, entry.charge.currency) or None

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChargeEntry]:
        """Lines with their charge, for its currency."""
        rows: QuerySet[ChargeEntry] = super().get_queryset(request)
        return rows.select_related("charge")


class WebhookInline(facts.FactsInline):
    """Webhooks about a charge."""

    model = GatewayNotice
    hide_title = True
    verbose_name_plural = "webhooks"
    ordering = ("id",)
    fields = readonly_fields = ("received", "kind", "happened", "event_id")

    @admin.display(description="received")
    def received(self, notice: GatewayNotice) -> str:
        """When it came in."""
        return facts.moment(notice.received_at)

    @admin.display(description="happened")
    def happened(self, notice: GatewayNotice) -> str:
        """When the gateway says that it happened."""
        return facts.moment(notice.happened_at)


class ReviewInline(facts.FactsInline):
    """What of a charge needs, or needed, a person."""

    model = Review
    hide_title = True
    verbose_name_plural = "money that needs a person"
    fields = readonly_fields = ("page", "detail", "opened", "closed", "closed_by", "note")

    @admin.display(description="what")
    def page(self, review: Review) -> str:
        """What is wrong, with a link to its page."""
        return facts.link(facts.page_of(Review, review.pk), review.get_kind_display())

    @admin.display(description="opened")
    def opened(self, review: Review) -> str:
        """When it was found."""
        return facts.moment(review.opened_at)

    @admin.display(description="closed", empty_value="open")
    def closed(self, review: Review) -> str | None:
        """When it was settled."""
        return facts.moment(review.closed_at) or None


class RefundInline(facts.FactsInline):
    """What went back of a charge."""

    model = Refund
    hide_title = True
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
