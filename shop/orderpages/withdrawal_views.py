"""Withdrawing from a purchase: the order is named, the copies are chosen, the declaration is confirmed."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from orders.actions import withdrawal
from orders.models import Order
from shop.books import pricing
from shop.limits import limits, visitors
from shop.orderpages import access, forms, withdrawals
from shop.site.one_time_forms import one_time

_NOT_FOUND = "We have no order with this reference and this mail address. Please check both."


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: HttpRequest) -> HttpResponse:
    """For buyers without the order's link: reference and mail address lead to the order's form.

    Raises:
        shop.limits.limits.Refused: from this network too many were tried.
    """
    form = forms.OrderLookUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        limits.take(request, (limits.WITHDRAWAL, visitors.network_of(request)))
        order = withdrawals.look_up(**form.cleaned_data)
        if order is not None:
            withdrawals.let_in(request.session, order.pk)
            return redirect("order_withdraw", order.pk)
        form.add_error(None, _NOT_FOUND)
    return render(request, "shop/withdraw.html", {"form": form}, status=422 if form.errors else 200)


@one_time
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def order_withdraw(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The declaration: first which copies, then to confirm it. A POST that confirms withdraws."""
    order, page = _order_and_page(request, order_id)
    lines = list(order.lines.all())
    try:
        left = withdrawal.left(order, lines)
        form = forms.WithdrawalForm(request.POST or None, left=left)
        if request.method == "POST" and form.is_valid() and "confirm" in request.POST:
            withdrawals.declare(order_id=order_id, units=form.cleaned_data["units"], user=request.user)
            messages.success(
                request,
                f"We have received your withdrawal from order {order.reference}. A receipt with the time and with what "
                f"you have declared is on its way by mail.",
            )
            return redirect(page)
        if not left:
            raise withdrawal.CannotWithdraw("You have withdrawn from all of this order already.")
    except withdrawal.CannotWithdraw as error:
        messages.warning(request, str(error))
        return redirect(page)
    return _show(request, order, form, left, page)


def _show(
    request: HttpRequest, order: Order, form: forms.WithdrawalForm, left: dict[str, int], page: str
) -> HttpResponse:
    is_chosen = request.method == "POST" and form.is_valid() and "again" not in request.POST
    fields, lines = form.copies(), [line for line in order.lines.all() if line.sku in left]
    units = form.cleaned_data["units"] if is_chosen else {}
    context: dict[str, Any] = {
        "order": order,
        "form": form,
        "rows": [(line, left[line.sku], fields[line.sku]) for line in lines],
        "chosen": [(line, units[line.sku]) for line in lines if line.sku in units],
        "offers": pricing.offers([line.sku for line in lines]),
        "until": withdrawal.until(order),
        "order_url": page,
    }
    return render(request, "shop/order_withdraw.html", context, status=422 if form.errors else 200)


def _order_and_page(request: HttpRequest, order_id: UUID) -> tuple[Order, str]:
    """The order, and where this visitor goes afterwards: who only named it does not get to see its page.

    Raises:
        Http404: the visitor is not its buyer, and has not named it either.
    """
    try:
        order = access.buyers_order(request, order_id)
    except Http404:
        if not withdrawals.is_let_in(request.session, order_id):
            raise
        return Order.objects.get(pk=order_id), reverse("withdraw")
    key = access.key_of(request)
    return order, reverse("order", kwargs={"order_id": order_id}) + (f"?{urlencode({'key': key})}" if key else "")
