"""Webhooks of the gateway."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from kafka_bridge import admin as facts
from payments.models import Charge, GatewayNotice


class OrphanFilter(admin.SimpleListFilter):
    """Whether we know the charge that a webhook is about."""

    title = "charge"
    parameter_name = "charge_known"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("no", "About no charge of ours"), ("yes", "About a charge")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[GatewayNotice]) -> QuerySet[GatewayNotice]:
        """The webhooks of the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(charge__isnull=self.value() == "no")


@admin.register(GatewayNotice)
class GatewayNoticeAdmin(facts.FactsAdmin):
    """Genuine webhooks, as they came in. What they say is never believed: the gateway is asked."""

    list_display = ("received", "kind", "of_charge", "transaction_id", "event_id")
    list_filter = (OrphanFilter,)
    list_select_related = ("charge",)
    search_fields = ("event_id",)
    search_help_text = "Event id, order id, charge id or transaction id, complete"
    ordering = ("-id",)
    fields = readonly_fields = ("event_id", "kind", "of_charge", "transaction_id", "happened", "received", "contents")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[GatewayNotice], search_term: str
    ) -> tuple[QuerySet[GatewayNotice], bool]:
        """The webhook of this event, or those about this charge; a transaction is looked up among the charges."""
        if not (term := search_term.strip().replace("\x00", "")):
            return queryset, False
        if key := facts.as_uuid(term):
            charges = Charge.objects.filter(Q(pk=key) | Q(order_id=key))
        else:
            charges = Charge.objects.filter(transaction_id=term)
        return queryset.filter(Q(event_id=term) | Q(charge__in=list(charges.values_list("pk", flat=True)))), False

    @admin.display(description="charge", empty_value="none of ours")
    def of_charge(self, notice: GatewayNotice) -> str | None:
        """The charge that it is about, with a link to its page."""
        if notice.charge is None:
            return None
        return facts.link(facts.page_of(Charge, notice.charge.pk), notice.charge)

    @admin.display(description="happened")
    def happened(self, notice: GatewayNotice) -> str:
        """When the gateway says that it happened."""
        return facts.moment(notice.happened_at)

    @admin.display(description="received")
    def received(self, notice: GatewayNotice) -> str:
        """When it came in."""
        return facts.moment(notice.received_at)

    @admin.display(description="contents")
    def contents(self, notice: GatewayNotice) -> str:
        """As they were signed."""
        return format_html('<pre class="br-json">{}</pre>', facts.as_json(notice.body.encode()))
