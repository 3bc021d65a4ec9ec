"""The context of every page."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from shop.cart import carts
from shop.checkout import payment_form
from shop.pages.tables import Slug


def storefront(request: HttpRequest) -> dict[str, Any]:
    """The cart's size (counted only if shown), whether hints are shown, the sockets' port, the shop's own pages."""
    return {
        "cart_count": SimpleLazyObject(lambda: carts.count(carts.cart_of(request))),
        "is_sandbox": not payment_form.is_by_stripe(),
        "show_demo_hints": settings.SHOW_DEMO_HINTS,
        "live_port": settings.LIVE_PORT,
        "shop_pages": Slug.choices,
    }
