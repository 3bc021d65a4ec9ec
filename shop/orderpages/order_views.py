"""The page of an order and what its buyer can do there; and the list of a buyer's orders."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from orders import links, payment_pages, prices, queries
from orders.actions import cancellation, returns, withdrawal
from orders.models import Order, OrderLine, PaymentWait, ReturnRequest, Status
from shop.books import pricing
from shop.cart import carts
from shop.orderpages import access, after_sales, forms, kafka_strip
from shop.site.one_time_forms import one_time

ORDERS_A_PAGE = 20


def _address(name: str, request: HttpRequest, order_id: UUID) -> str:
    """The URL of a page about this order, with the key from this visitor's link."""
    return reverse(name, kwargs={"order_id": order_id}) + _key_query(request)


def _key_query(request: HttpRequest) -> str:
    return f"?{urlencode({'key': access.key_of(request)})}" if access.key_of(request) else ""


@never_cache
@require_safe
def order_page(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The order with its timeline; complete without JavaScript, kept up to date by the socket."""
    went_to_bank = after_sales.went_to_bank(request.session, order_id)
    if went_to_bank and not access.key_of(request) and not access.is_known_owner(request, order_id):
        # The bank sends buyers back without the key. This session went there, so it was allowed to see the order.
        return redirect(reverse("order", kwargs={"order_id": order_id}, query={"key": links.key_for(order_id)}))
    order = access.visible_order(request, order_id)
    if access.key_of(request) and access.is_owner(request, order):
        # The key opens the order for ever, and the browser's history outlives the session.
        return redirect("order", order_id)
    return render(request, "shop/order.html", _shown(request, order, went_to_bank=went_to_bank))


@never_cache
@require_safe
def order_fragment(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Only the order, as its page shows it now: an open page asks for it when something has changed."""
    order = access.visible_order(request, order_id)
    went_to_bank = after_sales.went_to_bank(request.session, order_id)
    return render(request, "shop/_order.html", _shown(request, order, went_to_bank=went_to_bank))


def _shown(request: HttpRequest, order: Order, *, went_to_bank: bool) -> dict[str, Any]:
    """What the templates of an order show; never older than the snapshot, whose version they say."""
    order_id = order.pk
    snapshot = queries.snapshot(order_id)
    if snapshot is None:
        raise Http404
    if snapshot.version != order.version:
        order.refresh_from_db()  # it has moved on meanwhile
    lines = list(order.lines.all())
    return {
        "order": order,
        "lines": lines,
        "prices": prices.of(order, lines),
        "offers": pricing.offers([line.sku for line in lines]),
        "snapshot": snapshot,
        "steps": [{**msgspec.structs.asdict(step), "at": _time(step.at)} for step in snapshot.steps],
        "pay_until": _time(snapshot.payment_until),
        "went_to_bank": went_to_bank,
        "returns": _returns(order_id, lines),
        "can_return": any(_left(lines).values()),
        "is_buyer": access.is_buyer(request, order),
        "claim_key": access.key_of(request) if order.user_id is None and access.is_buyer(request, order) else "",
        "live_path": f"/live/orders/{order_id}/{_key_query(request)}",
        "snapshot_url": _address("api_order", request, order_id),
        "fragment_url": _address("order_fragment", request, order_id),
        "again_url": _address("order_again", request, order_id),
        "pay_url": _address("order_pay", request, order_id),
        "cancel_url": _address("order_cancel", request, order_id),
        "return_url": _address("order_return", request, order_id),
        "withdraw_url": _address("order_withdraw", request, order_id),
        "can_withdraw": withdrawal.is_possible(order, lines),
        **kafka_strip.shown(request, order_id),
    }


@never_cache
@require_safe
def order_pay(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Redirect to the bank's page, where the buyer confirms the payment; if nothing is pending, back to the order."""
    order = access.buyers_order(request, order_id)
    if order.payment_wait != PaymentWait.ACTION or not payment_pages.is_gateways(order.payment_url):
        return redirect(_address("order", request, order_id))
    after_sales.go_to_bank(request.session, order_id)
    return HttpResponseRedirect(order.payment_url)


@one_time
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def order_cancel(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The confirmation page; a POST cancels the order."""
    order = access.buyers_order(request, order_id)
    page = _address("order", request, order_id)
    if request.method == "POST":
        try:
            after_sales.cancel(order_id=order_id, user=request.user)
        except cancellation.CannotCancel:
            order.refresh_from_db()  # it has changed in the meantime
        else:
            return redirect(page)
    if order.status == Status.CANCELLED:
        return redirect(page)
    if order.status not in (Status.PENDING, Status.PAID):
        messages.warning(
            request, "It is too late to cancel: your parcel has been shipped. You can return books instead."
        )
        return redirect(_address("order_return", request, order_id))
    context = {"order": order, "lines": order.lines.all(), "order_url": page}
    return render(request, "shop/order_cancel.html", context)


@one_time
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def order_return(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The return form; a POST sends the request to staff."""
    order = access.buyers_order(request, order_id)
    page, lines = _address("order", request, order_id), list(order.lines.all())
    left = _left(lines)
    form = forms.ReturnForm(request.POST or None, left=left)
    if request.method == "POST" and form.is_valid():
        try:
            after_sales.ask_return(
                order_id=order_id,
                user=request.user,
                units=form.cleaned_data["units"],
                reason=form.cleaned_data["reason"],
            )
        except returns.CannotReturn:
            messages.warning(request, "Your order has changed in the meantime. Please check it and try again.")
        else:
            messages.success(request, "We have received your return request and will email you soon.")
        return redirect(page)
    is_open = queries.returns_of(order_id).filter(state__in=ReturnRequest.OPEN).exists()
    if order.status not in (Status.SHIPPED, Status.DELIVERED) or is_open or not any(left.values()):
        return redirect(page)
    fields = form.copies()
    rows = [(line, left[line.sku], fields[line.sku]) for line in lines if line.sku in fields]
    context = {
        "order": order,
        "form": form,
        "rows": rows,
        "offers": pricing.offers([line.sku for line in lines]),
        "order_url": page,
    }
    return render(request, "shop/order_return.html", context, status=422 if form.errors else 200)


def _left(lines: Iterable[OrderLine]) -> dict[str, int]:
    """By sku, the copies that were neither cancelled nor refunded."""
    return {line.sku: line.left for line in lines}


def _returns(order_id: UUID, lines: Iterable[OrderLine]) -> list[dict[str, Any]]:
    """The order's return requests, with titles."""
    titles = {line.sku: line.title for line in lines}
    return [
        {
            "return_request": return_request,
            "is_open": return_request.state in ReturnRequest.OPEN,
            "copies": [(number, titles.get(sku, sku)) for sku, number in return_request.units.items()],
        }
        for return_request in queries.returns_of(order_id)
    ]


@require_POST
def order_again(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """Put the books of an order into the cart again, and go to the checkout."""
    order = access.visible_order(request, order_id)
    lines, basket = list(order.lines.all()), carts.cart_of(request)
    offers = pricing.offers([line.sku for line in lines])
    missing = []
    for line in lines:
        offer = offers.get(line.sku)
        if offer is None:
            missing.append(line.title)
            continue
        try:
            carts.put_in(
                basket, carts.CartEntry(sku=line.sku, quantity=line.quantity, seen_price_minor=offer.price_minor)
            )
        except carts.CartFull:
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
    offers = pricing.offers([line.sku for order in page for line in order.lines.all()])
    return render(request, "shop/my_orders.html", {"page": page, "offers": offers})


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
