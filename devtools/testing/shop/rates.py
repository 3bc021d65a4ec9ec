"""Rates of shipping and tax, and coupons, for tests."""

from datetime import date
from decimal import Decimal
from typing import Any

from orders.coupons.tables import Coupon
from shop.models import ShippingMethod, TaxRate
from shop.prices import rates

LONG_AGO = date(2020, 1, 1)


def a_method(code: str = "standard", *, prices: dict[str, int], position: int = 0, **rate: Any) -> ShippingMethod:
    """A way of shipping with one rate for each of these countries."""
    method = ShippingMethod.objects.create(code=code, name=code.capitalize(), position=position)
    for country, price_minor in prices.items():
        method.rates.create(country=country, price_minor=price_minor, **rate)
    rates.forget()
    return method


def a_tax(country: str, percent: str, *, is_added: bool = False, since: date = LONG_AGO) -> TaxRate:
    """The same rate on books and on shipping."""
    amount = Decimal(percent)
    row = TaxRate.objects.create(
        country=country, valid_from=since, books_percent=amount, shipping_percent=amount, is_added=is_added
    )
    rates.forget()
    return row


def a_coupon(code: str = "SPRING", **terms: Any) -> Coupon:
    """Ten per cent off, unless something else is said."""
    kind = {"kind": Coupon.Kind.PERCENT, "percent": 10} if "kind" not in terms else {}
    return Coupon.objects.create(code=code, **(kind | terms))
