"""Orders that were placed without an account: found again by mail, and made an account's own.

# Note [Nobody is told]
The page that looks for an order says the same whether there is one or not: the link goes to the order's address by
mail. So a reference, which stands on parcels, opens nothing to whoever reads it there.
"""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from orders import links
from orders.actions import buyers
from orders.models import Order
from shop.accounts import mailboxes, mails
from shop.limits import limits, visitors
from shop.orderpages import forms


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def find_order(request: HttpRequest) -> HttpResponse:
    """Ask for the link to an order; see Note [Nobody is told]."""
    form = forms.OrderLookUpForm(request.POST or None)
    if request.method == "POST":
        limits.take(request, (limits.ACCOUNT_MAILS, visitors.network_of(request)))
        if form.is_valid():
            _send_link(request, reference=form.cleaned_data["reference"], address=form.cleaned_data["email"])
            return redirect("find_order_sent")
    return render(request, "shop/find_order.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD"])
def find_order_sent(request: HttpRequest) -> HttpResponse:
    """Look into your mailbox."""
    return render(request, "shop/find_order_sent.html")


def _send_link(request: HttpRequest, *, reference: str, address: str) -> None:
    order = Order.objects.filter(reference=reference).first()
    if order is None or order.email.casefold() != address.casefold() or not mails.may_write_to(request, address):
        return
    mails.queue(to=order.email, name="order_link", context={"order": order, "address": links.address(order)})


@never_cache
@require_POST
@login_required
def claim_orders(request: HttpRequest) -> HttpResponse:
    """Make orders of a guest the account's own: the one whose link is sent along, or all of a confirmed address."""
    user_id = int(request.user.pk or 0)
    order_id, key = request.POST.get("order", ""), request.POST.get("key", "")
    if order_id:
        if not links.is_valid(order_id, key):
            messages.error(request, "This link does not open an order. Use the one in our mail.")
            return redirect("account")
        if buyers.claim(order_ids=[UUID(order_id)], user_id=user_id):
            messages.success(request, "This order is in your account now.")
        return redirect(reverse("order", kwargs={"order_id": order_id}))
    address = mailboxes.confirmed_address(user_id)
    count = buyers.claim(order_ids=buyers.claimable(address), user_id=user_id) if address else 0
    if count:
        messages.success(request, f"{count} order{'s are' if count > 1 else ' is'} in your account now.")
    return redirect("my_orders")
