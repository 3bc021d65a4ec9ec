"""Charges in the shop's admin: with a button to ask the gateway at once, instead of at the next scheduled time."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminTextInputWidget

import money
from kafka_bridge import admin as facts
from orders.models import Order
from payments import admin as payments_admin
from payments import charges, refunds, reviews
from payments.models import Charge, Refund, Review
from shop.admin.site import navigation
from shop.audit import kept_money
from shop.operations import activity_log

admin.site.unregister(Charge)


class RefundForm(forms.Form):
    """Why it is refunded."""

    reason = forms.CharField(
        max_length=70, widget=UnfoldAdminTextInputWidget, help_text="Kept with your name, on the refund."
    )


@admin.register(Charge)
class ChargeAdmin(payments_admin.ChargeAdmin):
    """As in payments, with two buttons. Their use is recorded in the activity log, which payments does not know."""

    change_form_outer_before_template = "admin/payments/ask_now.html"

    @admin.display(description="order")
    def order(self, charge: Charge) -> str:
        """The order's reference, linked to its page."""
        reference = Order.objects.filter(pk=charge.order_id).values_list("reference", flat=True).first()
        return facts.link(facts.page_of(Order, charge.order_id), reference or charge.order_id)

    def has_ask_permission(self, request: HttpRequest) -> bool:
        """Whether this user may have the gateway asked. Nobody may edit the fields of a charge."""
        return request.user.has_perm("payments.change_charge")

    def has_refund_permission(self, request: HttpRequest) -> bool:
        """Whether this user may refund what is too much."""
        return request.user.has_perm("payments.add_refund")

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and those of the buttons."""
        view = self.admin_site.admin_view
        ask = path("<uuid:charge_id>/ask/", view(self.ask_view), name="payments_charge_ask")
        refund = path("<uuid:charge_id>/refund/", view(self.refund_view), name="payments_charge_refund")
        return [ask, refund, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page; with the button, if there is something to ask and it is permitted."""
        key = facts.as_uuid(object_id)
        charge = Charge.objects.filter(pk=key).first() if key else None
        may_ask = charge is not None and _is_open(charge) and self.has_ask_permission(request)
        may_refund = key is not None and self.has_refund_permission(request) and key in kept_money.of_charges([key])
        extra = {
            **(extra_context or {}),
            "ask_url": reverse("admin:payments_charge_ask", args=[key]) if may_ask else "",
            "refund_url": reverse("admin:payments_charge_refund", args=[key]) if may_refund else "",
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

    def refund_view(self, request: HttpRequest, charge_id: UUID) -> HttpResponse:
        """The form for refunding what is kept beyond the order's costs; a POST has it refunded."""
        if not self.has_refund_permission(request):
            raise PermissionDenied
        get_object_or_404(Charge, pk=charge_id)
        form = RefundForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                done = refund_excess(
                    charge_id=charge_id, reason=form.cleaned_data["reason"], user=navigation.person(request)
                )
            except refunds.NothingTaken as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, done)
                return HttpResponseRedirect(facts.page_of(Charge, charge_id))
        context = {
            **self.admin_site.each_context(request),
            "title": "Refund what is too much",
            "opts": self.opts,
            "form": form,
            "excess": kept_money.of_charges([charge_id]).get(charge_id),
            "back_url": facts.page_of(Charge, charge_id),
        }
        return TemplateResponse(request, "admin/payments/refund.html", context)


def refund_excess(*, charge_id: UUID, reason: str, user: AbstractBaseUser) -> str:
    """Refund what is kept of a charge beyond its order's costs, and record it; returns a message about it.

    Raises:
        payments.refunds.NothingTaken: nothing is too much; nothing was changed.
    """
    with transaction.atomic():
        charge = Charge.objects.select_for_update().get(pk=charge_id)
        excess = kept_money.of_charges([charge_id]).get(charge_id)
        if excess is None:
            raise refunds.NothingTaken("No more is kept of this charge than its order costs.")
        after = refunds.refund_by_hand(
            charge_id=charge_id, amount_minor=excess.amount_minor, reason=reason, by=user.get_username()
        )
        reviews.settle(kind=Review.Kind.KEPT, subject=str(charge_id), note=f"refunded by {user.get_username()}")
        activity_log.record(
            user=user,
            what="charge refunded",
            subject=f"charge {charge_id}",
            order_id=charge.order_id,
            reason=reason,
            before={"refunded_minor": charge.refunded_minor},
            after={"refunded_minor": after.refunded_minor},
        )
    return f"{money.format_amount(excess.amount_minor, charge.currency)} will be refunded."


def _is_open(charge: Charge) -> bool:
    """Whether a call to the gateway is due, for the charge or for one of its refunds."""
    return charge.state in Charge.OPEN or charge.refunds.filter(state=Refund.State.REQUESTED).exists()


def _next_call(charge: Charge) -> str:
    """When the gateway would be asked next, in UTC."""
    times = list(charge.refunds.filter(state=Refund.State.REQUESTED).values_list("next_attempt_at", flat=True))
    times += [charge.next_attempt_at] if charge.state in Charge.OPEN else []
    return f"{min(times):%Y-%m-%d %H:%M:%S} UTC"
