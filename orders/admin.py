"""Parcels. The pages of orders and of their mails cross apps, or record who did what, and belong to the site."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from kafka_bridge import admin as facts
from orders.models import Order, Shipment

PARCEL_COLOURS = {
    Shipment.State.PACKED: "warning",
    Shipment.State.SHIPPED: "info",
    Shipment.State.DELIVERED: "success",
    Shipment.State.STOPPED: "danger",
}


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
