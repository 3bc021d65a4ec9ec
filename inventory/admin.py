"""Reservations in the admin. Stock itself is shown beside its book, by the shop's own admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from inventory.models import Hold, Reservation
from kafka_bridge import admin as facts

STATE_COLOURS = {
    Reservation.State.HELD: "info",
    Reservation.State.SOLD: "success",
    Reservation.State.RELEASED: "",
    Reservation.State.EXPIRED: "warning",
    Reservation.State.REFUSED: "danger",
}


class HoldInline(facts.FactsInline):
    """Units by stock pool, and how many of them were given back after a partial cancellation."""

    model = Hold
    fields = readonly_fields = ("sku", "bin", "quantity", "given_back")


@admin.register(Reservation)
class ReservationAdmin(facts.FactsAdmin):
    """Held, sold, released, expired or refused: one row per order."""

    list_display = ("order_id", "state_label", "units", "made", "changed")
    list_filter = ("state",)
    search_fields = ("order_id",)
    search_help_text = "Complete order ID"
    ordering = ("-order_id",)  # the ids grow with time, and the key has an index
    fields = readonly_fields = ("order", "state_label", "runs_out", "made", "changed")
    inlines = (HoldInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        """Reservations with their holds."""
        rows: QuerySet[Reservation] = super().get_queryset(request)
        return rows.prefetch_related("holds")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Reservation], search_term: str
    ) -> tuple[QuerySet[Reservation], bool]:
        """The reservation of one order."""
        if not search_term.strip():
            return queryset, False
        order_id = facts.as_uuid(search_term)
        return (queryset.none() if order_id is None else queryset.filter(pk=order_id)), False

    @admin.display(description="order")
    def order(self, reservation: Reservation) -> str:
        """The order's id, with a link to its page."""
        return facts.link(reverse("admin:orders_order_change", args=[reservation.pk]), reservation.pk)

    @admin.display(description="state", ordering="state")
    def state_label(self, reservation: Reservation) -> str:
        """The state as a coloured word."""
        return facts.label(reservation.get_state_display(), STATE_COLOURS[Reservation.State(reservation.state)])

    @admin.display(description="units", empty_value="none")
    def units(self, reservation: Reservation) -> Any:
        """Units by sku, if any were held."""
        return ", ".join(str(hold) for hold in reservation.holds.all()) or None

    @admin.display(description="hold expires", empty_value="")
    def runs_out(self, reservation: Reservation) -> str | None:
        """When an unpaid hold expires."""
        return facts.moment(reservation.expires_at) or None

    @admin.display(description="made")
    def made(self, reservation: Reservation) -> str:
        """When inventory first heard of the order."""
        return facts.moment(reservation.created_at)

    @admin.display(description="changed")
    def changed(self, reservation: Reservation) -> str:
        """When the state last changed."""
        return facts.moment(reservation.updated_at)
