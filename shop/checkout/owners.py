"""Whose a checkout is: a form's key belongs to the account or session that sent it, and opens nobody else's order."""

import secrets
from uuid import UUID

from django.http import HttpRequest

from orders.models import Order
from shop.site.pseudonyms import pseudonym

_OWNER, _PLACED, _PLACED_MOST = "checkout_owner", "placed_orders", 50


def owner_of(request: HttpRequest) -> str:
    """The same in all requests of an account, and of a guest's session."""
    if request.user.is_authenticated:
        return f"account:{request.user.pk}"
    if _OWNER not in request.session:
        request.session[_OWNER] = secrets.token_hex(16)
    return f"session:{request.session[_OWNER]}"


def has_owner(request: HttpRequest) -> bool:
    """Whether `owner_of` would say what it has said before, of a guest."""
    return _OWNER in request.session


def pseudonym_of(owner: str) -> str:
    """An owner as 32 hex digits that do not reveal who it is, for events and stock."""
    return pseudonym("shop.checkout.owners", owner)


def remember(request: HttpRequest, order_id: UUID) -> None:
    """Note that this session placed the order."""
    others = [other for other in request.session.get(_PLACED, []) if other != str(order_id)]
    request.session[_PLACED] = [str(order_id), *others][:_PLACED_MOST]


def owns(request: HttpRequest, order: Order) -> bool:
    """Whether this visitor placed the order, in this session or with the account that is signed in."""
    by_account = request.user.is_authenticated and order.user_id == request.user.pk
    return by_account or str(order.pk) in request.session.get(_PLACED, [])
