"""Who may see an order, and who may act as its buyer."""

from uuid import UUID

from django.http import Http404, HttpRequest

from orders import links
from orders.models import Order


def visible_order(request: HttpRequest, order_id: UUID) -> Order:
    """The order, if this visitor may see it.

    Raises:
        Http404: there is no such order, or it is another buyer's; the answer does not tell which.
    """
    order = Order.objects.filter(pk=order_id).first()
    if order is None or not links.may_see(order=order, user=request.user, key=key_of(request)):
        raise Http404
    return order


def key_of(request: HttpRequest) -> str:
    """The key in the link, or "" if it has none."""
    return request.GET.get("key", "")


def buyers_order(request: HttpRequest, order_id: UUID) -> Order:
    """The order, if this visitor is its buyer; staff may see it, but not act for the buyer.

    Raises:
        Http404: as for `visible_order`.
    """
    order = visible_order(request, order_id)
    if not is_buyer(request, order):
        raise Http404
    return order


def is_buyer(request: HttpRequest, order: Order) -> bool:
    """Whether this visitor is the order's owner, or holds its link."""
    has_key = bool(key_of(request)) and links.is_valid(order.pk, key_of(request))
    return has_key or is_owner(request, order)


def is_owner(request: HttpRequest, order: Order) -> bool:
    """Whether it was ordered with the account that is signed in."""
    return request.user.is_authenticated and order.user_id == request.user.pk


def is_known_owner(request: HttpRequest, order_id: UUID) -> bool:
    """Whether there is such an order, and it is this account's."""
    order = Order.objects.filter(pk=order_id).first()
    return order is not None and is_owner(request, order)
