"""Charges in the shop's admin: with a button to ask the gateway at once, instead of at the next scheduled time."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from kafka_bridge import admin as facts
from orders.models import Order
from payments import admin as payments_admin
from payments import charges
from payments.models import Charge, Refund
from shop.admin.site import navigation
from shop.operations import activity_log

admin.site.unregister(Charge)


@admin.register(Charge)
class ChargeAdmin(payments_admin.ChargeAdmin):
    """As in payments, with a button. Its use is recorded in the activity log, which payments does not know."""

    change_form_outer_before_template = "admin/payments/ask_now.html"

    @admin.display(description="order")
    def order(self, charge: Charge) -> str:
        """The order's reference, linked to its page."""
        reference = Order.objects.filter(pk=charge.order_id).values_list("reference", flat=True).first()
        return facts.link(facts.page_of(Order, charge.order_id), reference or charge.order_id)

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """Whether this user may have the gateway asked. Nobody may edit the fields of a charge."""
        return request.user.has_perm("payments.change_charge")

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the target of the button."""
        ask = path("<uuid:charge_id>/ask/", self.admin_site.admin_view(self.ask_view), name="payments_charge_ask")
        return [ask, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page; with the button, if there is something to ask and it is permitted."""
        key = facts.as_uuid(object_id)
        charge = Charge.objects.filter(pk=key).first() if key else None
        may_ask = charge is not None and _is_open(charge) and self.has_ask_permission(request)
        extra = {
            **(extra_context or {}),
            "ask_url": reverse("admin:payments_charge_ask", args=[key]) if may_ask else "",
        }
        response: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return response

    def ask_view(self, request: HttpRequest, charge_id: UUID) -> HttpResponse:
        """Make the charge due now."""
        if not self.has_ask_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with transaction.atomic():
            charge = get_object_or_404(Charge.objects.select_for_update(), pk=charge_id)
            is_open = _is_open(charge)
            if is_open:
                before = {"state": charge.state, "next_call": _next_call(charge)}
                charges.ask_again(charge_id=charge_id)
                activity_log.record(
                    user=navigation.person(request),
                    what="gateway asked",
                    subject=f"charge {charge_id}",
                    order_id=charge.order_id,
                    before=before,
                    after={"state": charge.state, "next_call": "now"},
                )
        if is_open:
            messages.success(request, "The gateway will be asked in a moment. Reload this page to see the answer.")
        else:
            messages.warning(request, "Nothing to ask: the charge is settled.")
        return HttpResponseRedirect(facts.page_of(Charge, charge_id))


def _is_open(charge: Charge) -> bool:
    """Whether a call to the gateway is due, for the charge or for one of its refunds."""
    return charge.state in Charge.OPEN or charge.refunds.filter(state=Refund.State.REQUESTED).exists()


def _next_call(charge: Charge) -> str:
    """When the gateway would be asked next, in UTC."""
    times = list(charge.refunds.filter(state=Refund.State.REQUESTED).values_list("next_attempt_at", flat=True))
    times += [charge.next_attempt_at] if charge.state in Charge.OPEN else []
    return f"{min(times):%Y-%m-%d %H:%M:%S} UTC"
