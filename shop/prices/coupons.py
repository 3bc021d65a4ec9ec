"""Codes that buyers type: looked up, and in words why one cannot be used. Whether it really can, its order decides."""

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest

import money
from orders.coupons.tables import CODE_LENGTH, Coupon, code_of
from orders.coupons.uses import Claim
from shop.flashsales import flash_sales
from shop.limits import limits, visitors

TYPED_LENGTH = 2 * CODE_LENGTH


def find(request: HttpRequest, typed: str) -> Coupon | None:
    """The coupon with this code; wrong codes are counted, so that nobody finds one by guessing.

    Raises:
        shop.limits.limits.Refused: too many wrong ones came from this network.
    """
    if not typed:
        return None
    guess = (limits.COUPONS, visitors.network_of(request))
    limits.take(request, guess)
    code = code_of(typed)
    coupon = Coupon.objects.filter(code=code).first() if code else None
    if coupon is not None:
        limits.give_back(guess)
    return coupon


def obstacle(coupon: Coupon, *, goods_minor: int, now: datetime) -> str:
    """Why it cannot be used for books that cost so much, in a sentence; empty where it can, as far as is known."""
    if coupon.starts_at is not None and now < coupon.starts_at:
        return f"The coupon {coupon.code} cannot be used yet."
    if not coupon.is_valid_at(now):
        return f"The coupon {coupon.code} cannot be used any more."
    if coupon.limit is not None and coupon.used >= coupon.limit:
        return f"The coupon {coupon.code} has been used up."
    if goods_minor < coupon.minimum_minor:
        least = money.format_amount(coupon.minimum_minor, settings.CURRENCY)
        return f"The coupon {coupon.code} is for orders of {least} or more."
    return ""


def claim_of(coupon: Coupon, *, user_id: int | None, email: str) -> Claim:
    """The coupon for an order of this buyer."""
    return Claim(
        coupon_id=coupon.pk,
        code=coupon.code,
        version=coupon.version,
        customer="" if user_id is None else flash_sales.customer_of(user_id, email),
        contact=flash_sales.customer_of(None, email),
    )
