"""Parcels and mails. The page of an order itself crosses apps and belongs to the site."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from kafka_bridge import admin as facts
from orders.models import Order, OrderMail, Shipment

PARCEL_COLOURS = {
    Shipment.State.PACKED: "warning",
    Shipment.State.SHIPPED: "info",
    Shipment.State.DELIVERED: "success",
    Shipment.State.STOPPED: "danger",
}


class SentFilter(admin.SimpleListFilter):
    """Whether the mail server has taken the mail."""

    title = "sending"
    parameter_name = "sending"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """The choices."""
        return [("unsent", "Not sent yet"), ("sent", "Sent")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[OrderMail]) -> QuerySet[OrderMail]:
        """The mails of the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(sent_at__isnull=self.value() == "unsent")


@admin.register(Shipment)
class ShipmentAdmin(facts.FactsAdmin):
    """The parcel of each confirmed order; it is shipped and delivered from the order's page."""

    list_display = ("tracking_number", "state_label", "of_order", "carrier", "packed", "due")
    list_filter = ("state",)
    list_select_related = ("order",)
    search_fields = ("tracking_number",)
    search_help_text = "Tracking number, complete"
    ordering = ("-id",)
    fields = readonly_fields = ("tracking_number", "of_order", "state_label", "carrier", "packed", "due")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Shipment], search_term: str
    ) -> tuple[QuerySet[Shipment], bool]:
        """The parcel of this number."""
        term = search_term.strip().upper()
        return (queryset.filter(tracking_number=term) if term else queryset), False

    @admin.display(description="order")
    def of_order(self, shipment: Shipment) -> str:
        """The order's reference, with a link to its page."""
        return facts.link(facts.page_of(Order, shipment.order_id), shipment.order)

    @admin.display(description="state", ordering="state")
    def state_label(self, shipment: Shipment) -> str:
        """How far the parcel is."""
        return facts.label(shipment.get_state_display(), PARCEL_COLOURS[Shipment.State(shipment.state)])

    @admin.display(description="packed")
    def packed(self, shipment: Shipment) -> str:
        """When the parcel was made."""
        return facts.moment(shipment.created_at)

    @admin.display(description="carrier due", empty_value="")
    def due(self, shipment: Shipment) -> str | None:
        """When the carrier takes the next step, if there is one."""
        moving = shipment.state in (Shipment.State.PACKED, Shipment.State.SHIPPED)
        return facts.moment(shipment.due_at) if moving else None


@admin.register(OrderMail)
class OrderMailAdmin(facts.FactsAdmin):
    """Mails that orders owe their buyers."""

    list_display = ("kind", "of_order", "to", "owed", "sent", "attempts")
    list_filter = (SentFilter, "kind")
    list_select_related = ("order",)
    ordering = ("-id",)
    fields = readonly_fields = ("kind", "of_order", "to", "owed", "sent", "attempts", "next_attempt_at")

    @admin.display(description="order")
    def of_order(self, mail: OrderMail) -> str:
        """The order's reference, with a link to its page."""
        return facts.link(facts.page_of(Order, mail.order_id), mail.order)

    @admin.display(description="to")
    def to(self, mail: OrderMail) -> str:
        """The buyer's address."""
        return mail.order.email

    @admin.display(description="owed since")
    def owed(self, mail: OrderMail) -> str:
        """When the event was heard that the mail tells of."""
        return facts.moment(mail.created_at)

    @admin.display(description="sent", empty_value="not yet")
    def sent(self, mail: OrderMail) -> str | None:
        """When the mail server took it."""
        return facts.moment(mail.sent_at) or None
