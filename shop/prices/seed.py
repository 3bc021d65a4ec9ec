"""Rates and a coupon for a demo. A real shop begins without any, ships free, and makes its own."""

from datetime import date
from decimal import Decimal

from django.db import transaction

from orders.coupons.tables import Coupon
from shop.prices import rates
from shop.prices.tables import ShippingMethod, TaxRate

_SINCE = date(2020, 1, 1)
# By method: its rates as country, up to grams, price, free from; minor units of the demo's dollars.
_SHIPPING: dict[tuple[str, str], list[tuple[str, int | None, int, int | None]]] = {
    ("standard", "Standard, 3 to 5 days"): [
        ("US", 2_000, 399, 3_500), ("US", None, 799, 7_500), ("", 2_000, 899, 7_500), ("", None, 1_799, None),
    ],
    ("express", "Express, next day"): [("US", 5_000, 1_299, None), ("DE", 5_000, 1_499, None)],
}  # fmt: skip
# By country: per cent on books, on shipping, and whether it is added.
_TAX = {"DE": ("7", "19", False), "FR": ("5.5", "20", False), "VN": ("5", "8", False), "US": ("0", "0", True)}
COUPON = "WELCOME10"


@transaction.atomic
def seed() -> bool:
    """Add them, unless there is any rate or coupon already; whether it did."""
    if ShippingMethod.objects.exists() or TaxRate.objects.exists() or Coupon.objects.exists():
        return False
    for position, ((code, name), tiers) in enumerate(_SHIPPING.items()):
        method = ShippingMethod.objects.create(code=code, name=name, position=position)
        for country, upto_grams, price_minor, free_from_minor in tiers:
            method.rates.create(
                country=country, upto_grams=upto_grams, price_minor=price_minor, free_from_minor=free_from_minor
            )
    for country, (books, shipping, is_added) in _TAX.items():
        TaxRate.objects.create(
            country=country, valid_from=_SINCE, books_percent=Decimal(books), shipping_percent=Decimal(shipping),
            is_added=is_added,
        )  # fmt: skip
    Coupon.objects.create(code=COUPON, kind=Coupon.Kind.PERCENT, percent=10, limit=100, limit_each=1)
    transaction.on_commit(rates.forget)
    return True
