"""What a buyer saw against what is so now: prices, units left, the limit of a sale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

import money
from orders.placing import placement
from shop.books import pricing

PRICE_MAX = 999_999_999
"""The highest price that a buyer can have been told, in minor units; more than Babel writes out would be an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedLine:
    """A book, how many, and (from the page) what the buyer was told that one costs, in minor units."""

    sku: str
    quantity: int
    expected_price_minor: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceOrStockChange:
    """What is not as the buyer saw it.

    `code` is price_changed, over_limit, not_enough, sold_out or not_for_sale, of a book; or total_changed,
    not_delivered or coupon_refused, of the order.
    """

    code: str
    sku: str
    """Empty where it is about the order."""
    sentence: str
    left: int | None = None
    """Copies that can be had, where there are too few for the buyer."""
    price_minor: int | None = None
    """What one costs now, or all of it, where that is not what the buyer saw."""


def differences(lines: Sequence[WantedLine]) -> list[PriceOrStockChange]:
    """What is not as the buyer saw it, line by line: first its price, then its limit and its stock."""
    return differences_from(lines, pricing.offers([line.sku for line in lines]))


def most(offer: pricing.Offer, left: int) -> int:
    """Copies of a book that one order may have right now, when so many are left."""
    return max(0, min(left, most_with(offer)))


def most_with(offer: pricing.Offer) -> int:
    """The same, however many are left."""
    limit = offer.customer_limit
    return placement.QUANTITY_MAX if limit is None else min(limit, placement.QUANTITY_MAX)


def differences_from(lines: Sequence[WantedLine], offers: Mapping[str, pricing.Offer]) -> list[PriceOrStockChange]:
    """The same, compared with these offers, by sku."""
    free = pricing.free(offers)
    found: list[PriceOrStockChange] = []
    for line in lines:
        offer = offers.get(line.sku)
        if offer is None:
            found.append(not_for_sale(line.sku))
            continue
        if line.expected_price_minor is not None and line.expected_price_minor != offer.price_minor:
            found.append(price_change(offer, seen_minor=line.expected_price_minor))
        allowed, left = most_with(offer), free.get(line.sku, 0)
        if allowed < line.quantity and left > 0:
            found.append(too_many(offer, allowed=allowed, wanted=line.quantity))
        if left < min(allowed, line.quantity):
            found.append(shortage(offer, left=left, wanted=line.quantity))
    return found


def price_change(offer: pricing.Offer, *, seen_minor: int) -> PriceOrStockChange:
    """The price now against the one that the buyer saw, in minor units."""
    was, now = (money.format_amount(amount, settings.CURRENCY) for amount in (seen_minor, offer.price_minor))
    return PriceOrStockChange(
        code="price_changed",
        sku=offer.sku,
        sentence=f"“{offer.title}” now costs {now}; it was {was}.",
        price_minor=offer.price_minor,
    )


def too_many(offer: pricing.Offer, *, allowed: int, wanted: int) -> PriceOrStockChange:
    """More than a customer may have of a book in this sale."""
    copies = "copy" if allowed == 1 else "copies"
    return PriceOrStockChange(
        code="over_limit",
        sku=offer.sku,
        sentence=(
            f"Each customer can have up to {allowed} {copies} of “{offer.title}” in this sale; you asked for {wanted}."
        ),
        left=allowed,
    )


def shortage(offer: pricing.Offer, *, left: int, wanted: int) -> PriceOrStockChange:
    """Fewer units left than wanted."""
    if left <= 0:
        hope = "" if offer.sale_id is None else " A copy comes back when an order that holds it is not paid in time."
        return PriceOrStockChange(
            code="sold_out", sku=offer.sku, sentence=f"“{offer.title}” is sold out.{hope}", left=0
        )
    copies = "copy" if left == 1 else "copies"
    verb = "is" if left == 1 else "are"
    return PriceOrStockChange(
        code="not_enough",
        sku=offer.sku,
        sentence=f"Only {left} {copies} of “{offer.title}” {verb} left; you asked for {wanted}.",
        left=left,
    )


def not_for_sale(sku: str) -> PriceOrStockChange:
    """A book that the shop does not have, or no longer."""
    return PriceOrStockChange(
        code="not_for_sale", sku=sku, sentence=f"The book with ISBN {sku} is not for sale.", left=0
    )
