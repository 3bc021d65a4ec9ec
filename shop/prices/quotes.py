"""What an order would come to now: shown before the click, and what the order is then placed at.

# Note [What the buyer saw]
The page sends the total that it showed. It is compared with the quote of this moment, which is what the order is placed
at; where they differ nothing is ordered, and the page asks again with the new one. So rates, taxes and coupons may
change at any time, and no buyer pays what was not shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

import money
from money import breakdown
from orders.coupons.tables import Coupon
from orders.placing import placement
from shop.books.pricing import Offer
from shop.checkout import countries
from shop.checkout.price_check import PriceOrStockChange
from shop.prices import coupons, rates


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a buyer asks for besides the books."""

    country: str = ""
    """Where the parcel goes; empty as long as that is not chosen."""
    shipping: str = ""
    """The code of a way of shipping; empty for the first one."""
    code: str = ""
    """The code of a coupon, as it was typed."""
    coupon: Coupon | None = None
    """That coupon; None where there is none of this code."""


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What an order comes to."""

    wanted: Wanted
    terms: placement.Terms
    costs: breakdown.Breakdown
    ways: Sequence[rates.Way]
    way: rates.Way | None
    """None where it is not known yet, or where none goes there."""
    coupon: Coupon | None
    """The coupon that is in the terms."""
    coupon_problem: str
    """Why the one that was asked for is not."""

    @property
    def is_complete(self) -> bool:
        """Whether everything is known that the total depends on."""
        return bool(self.wanted.country) or not rates.last_known().depend_on_country

    @property
    def total_minor(self) -> int:
        """What the buyer pays."""
        return self.costs.total_minor

    def problems(self, expected_total_minor: int | None) -> list[PriceOrStockChange]:
        """What is not as the buyer asked for it, or saw it."""
        if self.coupon_problem:
            return [PriceOrStockChange(code="coupon_refused", sku="", sentence=self.coupon_problem)]
        if self.way is None:
            return [PriceOrStockChange(code="not_delivered", sku="", sentence=self._not_delivered())]
        if expected_total_minor is not None and expected_total_minor != self.total_minor:
            sentence = (
                f"The total is {_price(self.total_minor)}{self._parts()}; you saw {_price(expected_total_minor)}."
            )
            return [PriceOrStockChange(code="total_changed", sku="", sentence=sentence, price_minor=self.total_minor)]
        return []

    def _not_delivered(self) -> str:
        country = countries.name_of(self.wanted.country)
        if self.ways:
            return f"This way of shipping does not go to {country} with these books. Please choose another one."
        return f"We do not ship these books to {country}."

    def _parts(self) -> str:
        """What there is in the total besides the books."""
        costs, found = self.costs, []
        if costs.shipping.price_minor:
            found.append(f"shipping for {_price(costs.shipping.price_minor)}")
        if costs.is_tax_added and costs.tax_minor:
            found.append(f"{_price(costs.tax_minor)} of tax")
        words = f" with {' and '.join(found)}" if found else ""
        off = f" less {_price(costs.discount_minor)} by the coupon" if costs.discount_minor else ""
        return words + off


def of(books: Sequence[tuple[Offer, int]], wanted: Wanted, *, now: datetime, known: rates.Rates | None = None) -> Quote:
    """What these books, so many of each, come to at this moment's rates, or at those that are `known`."""
    current = known or rates.now()
    prices = [offer.price_minor * quantity for offer, quantity in books]
    goods_minor, grams = sum(prices), sum(offer.weight_grams * quantity for offer, quantity in books)
    problem = _coupon_problem(wanted, goods_minor, now)
    coupon = wanted.coupon if not problem else None
    discount_minor = min(coupon.discount_minor(goods_minor), goods_minor) if coupon else 0
    is_known = bool(wanted.country) or not current.depend_on_country
    ways = current.ways(wanted.country, grams, goods_minor - discount_minor) if is_known else []
    way = _chosen(ways, wanted.shipping)
    is_free = coupon is not None and coupon.kind == Coupon.Kind.SHIPPING
    terms = placement.Terms(
        discount_minor=discount_minor,
        shipping_minor=0 if way is None or is_free else way.price_minor,
        shipping_method=way.name if way else "",
        tax=current.tax(wanted.country, rates.today()) if is_known else breakdown.NO_TAX,
    )
    return Quote(
        wanted=wanted, terms=terms, costs=terms.costs_of(prices), ways=ways, way=way, coupon=coupon,
        coupon_problem=problem,
    )  # fmt: skip


def _coupon_problem(wanted: Wanted, goods_minor: int, now: datetime) -> str:
    if not wanted.code:
        return ""
    if wanted.coupon is None:
        return f"There is no coupon “{wanted.code}”. Please check it, or leave the field empty."
    return coupons.obstacle(wanted.coupon, goods_minor=goods_minor, now=now)


def _chosen(ways: Sequence[rates.Way], code: str) -> rates.Way | None:
    """The way with this code; the first one without a code."""
    return next((way for way in ways if not code or way.code == code), None)


def _price(amount_minor: int) -> str:
    return money.format_amount(amount_minor, settings.CURRENCY)
