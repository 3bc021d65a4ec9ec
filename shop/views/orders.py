"""An order's page, and a buyer's orders."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from orders import links, queries
from orders.models import Order
from shop import cart, pricing

ORDERS_A_PAGE = 20


def visible_order(request: HttpRequest, order_id: UUID) -> Order:
    """The order, if this visitor may see it.

    Raises:
        Http404: there is no such order, or it is somebody else's; nobody can tell which.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None or not links.may_see(order=order, user=request.user, key=key_of(request)):
        raise Http404
    return order


def key_of(request: HttpRequest) -> str:
    """The key of the link, if the address has one."""
    return request.GET.get("key", "")


@never_cache
@require_safe
def order_page(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The order with its timeline; complete without JavaScript, kept up to date by the socket."""
    order = visible_order(request, order_id)
    snapshot = queries.snapshot(order_id)
    if snapshot is None:
        raise Http404
    query = f"?{urlencode({'key': key_of(request)})}" if key_of(request) else ""
    context: dict[str, Any] = {
        "order": order,
        "lines": order.lines.all(),
        "offers": pricing.offers(),
        "snapshot": snapshot,
        "steps": [{**step, "at": _time(step["at"])} for step in snapshot["steps"]],
        "live_port": settings.LIVE_PORT,
        "live_path": f"/live/orders/{order_id}/{query}",
        "snapshot_url": reverse("api_order", kwargs={"order_id": order_id}) + query,
        "again_url": reverse("order_again", kwargs={"order_id": order_id}) + query,
    }
    return render(request, "shop/order.html", context)


@require_POST
def order_again(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Put the books of an order back into the cart and go on to the checkout."""
    order = visible_order(request, order_id)
    offers, basket = pricing.offers(), cart.of(request)
    missing = []
    for line in order.lines.all():
        offer = offers.get(line.sku)
        if offer is None:
            missing.append(line.title)
            continue
        try:
            cart.put_in(basket, cart.Entry(sku=line.sku, quantity=line.quantity, seen_price_minor=offer.price_minor))
        except cart.CartFull:
            missing.append(line.title)
    if missing:
        messages.warning(request, f"Not put in the cart: {', '.join(missing)}.")
    return redirect("cart" if missing else "checkout")


@never_cache
@login_required
@require_safe
def my_orders(request: HttpRequest) -> HttpResponse:
    """All orders of the account, newest first."""
    user_id = request.user.pk
    if user_id is None:
        raise Http404
    found = queries.orders_of(user_id).prefetch_related("lines")
    page = Paginator(found, ORDERS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "shop/my_orders.html", {"page": page, "offers": pricing.offers()})


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
