"""Who may see an order: its owner, staff, and holders of the signed link that a guest was given."""

from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare

from orders.models import Order

_SALT = "orders.links"


def key_for(order_id: UUID | str) -> str:
    """The unguessable part of a guest's link: a signature of the order's id."""
    return _signer().signature(str(order_id))


@cache
def _signer() -> signing.Signer:
    """Made once: a signer reads the settings each time it is made, and a key is made for each order."""
    return signing.Signer(salt=_SALT)


def is_valid(order_id: UUID | str, key: str) -> bool:
    """Whether this key opens this order."""
    return constant_time_compare(key_for(order_id), key)


def address(order: Order) -> str:
    """Where the order's page is, for a mail to its buyer; a guest's has the key."""
    page = f"{settings.SHOP_URL}/orders/{order.pk}/"
    return page if order.user_id else f"{page}?key={key_for(order.pk)}"


def withdrawal_address(order: Order) -> str:
    """Where the order's buyer can withdraw from the purchase, for a mail; an account's asks for the reference."""
    if order.user_id:
        return f"{settings.SHOP_URL}/withdraw/"
    return f"{settings.SHOP_URL}/orders/{order.pk}/withdraw/?key={key_for(order.pk)}"


def may_see(*, order: Order, user: Any, key: str) -> bool:
    """Whether this visitor may see the order: by link, as its owner, or as staff who may view orders."""
    if key and is_valid(order.pk, key):
        return True
    if not user.is_authenticated:
        return False
    return bool(order.user_id == user.pk or (user.is_staff and user.has_perm("orders.view_order")))
