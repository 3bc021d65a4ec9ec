"""From what a buyer sent to a placed order: the page and the JSON interface both come through here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import InterfaceError, OperationalError

from orders import queries
from orders.placing import placement
from shop import flash_sales, money, pricing

# What a browser or a tool is told to wait before it tries again.
RETRY_AFTER_SECONDS = 5


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """Who buys, and where the parcel goes."""

    name: str
    email: str
    address_line1: str
    address_line2: str = ""
    city: str
    postcode: str
    country: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedLine:
    """A book, how many, and (from the page) what the buyer was told that one costs, in minor units."""

    sku: str
    quantity: int
    expected_price_minor: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What is not as the buyer saw it; `code` is price_changed, over_limit, not_enough, sold_out or not_for_sale."""

    code: str
    sku: str
    sentence: str
    left: int | None = None
    """Copies that can be had, where there are too few for the buyer."""
    price_minor: int | None = None
    """What one costs now, where that is not what the buyer saw."""


class Changed(Exception):
    """Prices or stock are not what the buyer saw: show `differences`, ask again. Nothing was ordered."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        super().__init__(" ".join(difference.sentence for difference in differences))
        self.differences = tuple(differences)


def place(
    *,
    idempotency_key: UUID,
    lines: Sequence[WantedLine],
    contact: Contact,
    payment_method: str,
    user_id: int | None,
) -> placement.Placed:
    """Place the order at the server's prices; the same key again gives the same order.

    Quantities, addresses and the payment method must have been validated. Blocks for a few milliseconds.

    Raises:
        Changed: a price or the stock is not what the buyer saw.
        orders.placing.placement.IdempotencyConflict: the key was used for another order.
        orders.placing.placement.CheckoutUnavailable: nothing is known to be ordered; try again later with the same key.
    """
    try:
        # Looked at once: an order placed at the very moment a sale starts has one price, the one that was checked.
        offers = pricing.offers()
        found = _differences(lines, offers)
        # A key that has its order already gives that order, whatever became of prices and stock meanwhile.
        if found and not queries.is_placed(idempotency_key):
            raise Changed(found)
        return placement.place(_draft(idempotency_key, lines, contact, payment_method, user_id, offers))
    except (OperationalError, InterfaceError) as error:
        raise placement.CheckoutUnavailable from error


def differences(lines: Sequence[WantedLine]) -> list[Difference]:
    """What is not as the buyer saw it, line by line: first its price, then its limit and its stock."""
    return _differences(lines, pricing.offers())


def most(offer: pricing.Offer, left: int) -> int:
    """Copies of a book that one order may have right now, when so many are left."""
    return max(0, min(left, most_with(offer)))


def most_with(offer: pricing.Offer) -> int:
    """The same, however many are left."""
    limit = offer.customer_limit
    return placement.QUANTITY_MAX if limit is None else min(limit, placement.QUANTITY_MAX)


def _differences(lines: Sequence[WantedLine], offers: Mapping[str, pricing.Offer]) -> list[Difference]:
    free = pricing.free()
    found: list[Difference] = []
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


def price_change(offer: pricing.Offer, *, seen_minor: int) -> Difference:
    """The price now against the one that the buyer saw, in minor units."""
    was, now = (money.in_words(amount, settings.CURRENCY) for amount in (seen_minor, offer.price_minor))
    return Difference(
        code="price_changed",
        sku=offer.sku,
        sentence=f"“{offer.title}” now costs {now}; it was {was}.",
        price_minor=offer.price_minor,
    )


def too_many(offer: pricing.Offer, *, allowed: int, wanted: int) -> Difference:
    """More than a customer may have of a book in this sale."""
    copies = "copy" if allowed == 1 else "copies"
    return Difference(
        code="over_limit",
        sku=offer.sku,
        sentence=(
            f"Each customer can have up to {allowed} {copies} of “{offer.title}” in this sale; you asked for {wanted}."
        ),
        left=allowed,
    )


def shortage(offer: pricing.Offer, *, left: int, wanted: int) -> Difference:
    """Fewer units left than wanted."""
    if left <= 0:
        hope = "" if offer.sale_id is None else " A copy comes back when an order that holds it is not paid in time."
        return Difference(code="sold_out", sku=offer.sku, sentence=f"“{offer.title}” is sold out.{hope}", left=0)
    copies = "copy" if left == 1 else "copies"
    verb = "is" if left == 1 else "are"
    return Difference(
        code="not_enough",
        sku=offer.sku,
        sentence=f"Only {left} {copies} of “{offer.title}” {verb} left; you asked for {wanted}.",
        left=left,
    )


def not_for_sale(sku: str) -> Difference:
    """A book that the shop does not have, or no longer."""
    return Difference(code="not_for_sale", sku=sku, sentence=f"The book with ISBN {sku} is not for sale.", left=0)


def _draft(
    idempotency_key: UUID,
    lines: Sequence[WantedLine],
    contact: Contact,
    payment_method: str,
    user_id: int | None,
    offers: Mapping[str, pricing.Offer],
) -> placement.Draft:
    wanted = [(line, offers.get(line.sku)) for line in lines]
    is_limited = any(offer is not None and offer.customer_limit is not None for _, offer in wanted)
    return placement.Draft(
        idempotency_key=idempotency_key,
        lines=tuple(
            placement.DraftLine(
                sku=line.sku,
                # A book that is not for sale any more comes here only with a key that has its order already.
                title=offer.title if offer else "",
                unit_price_minor=offer.price_minor if offer else 0,
                quantity=line.quantity,
                sale_id=offer.sale_id if offer else None,
            )
            for line, offer in wanted
        ),
        currency=settings.CURRENCY,
        flow=settings.ORDER_FLOW,
        payment_method=payment_method,
        name=contact.name,
        email=contact.email,
        address_line1=contact.address_line1,
        address_line2=contact.address_line2,
        city=contact.city,
        postcode=contact.postcode,
        country=contact.country,
        user_id=user_id,
        customer=flash_sales.customer_of(user_id, contact.email) if is_limited else "",
    )
