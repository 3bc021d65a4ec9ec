"""The context of every page."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from shop.cart import carts
from shop.checkout import payment_form


def storefront(request: HttpRequest) -> dict[str, Any]:
    """The cart's size (counted only if shown), whether demo hints are shown, and the port of the sockets."""
    return {
        "cart_count": SimpleLazyObject(lambda: carts.count(carts.cart_of(request))),
        "is_sandbox": not payment_form.is_by_stripe(),
        "show_demo_hints": settings.SHOW_DEMO_HINTS,
        "live_port": settings.LIVE_PORT,
    }
