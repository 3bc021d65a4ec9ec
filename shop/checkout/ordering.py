"""From what a buyer sent to a placed order: the page and the JSON interface both come through here."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from kafka_bridge.telemetry import activity, metrics
from orders import queries
from orders.placing import placement
from shop.books import pricing
from shop.checkout import contacts, price_check
from shop.flashsales import flash_sales
from shop.prices import coupons, quotes
from shop.waiting_room import guard
from shop.waitlist import kept

# What a browser or a tool is told to wait before it tries again.
RETRY_AFTER_SECONDS = 5
REFUSED = metrics.counter("orders_refused", "Orders that were not taken, by what was in the way", ["reason"], by="web")


class Changed(Exception):
    """Prices, the total or stock are not what the buyer saw: show `differences`, ask again. Nothing was ordered."""

    def __init__(self, differences: Sequence[price_check.PriceOrStockChange]) -> None:
        super().__init__(" ".join(difference.sentence for difference in differences))
        self.differences = tuple(differences)


def place(
    *,
    idempotency_key: UUID,
    lines: Sequence[price_check.WantedLine],
    contact: contacts.Contact,
    payment_method: str,
    user_id: int | None,
    wanted: quotes.Wanted,
    expected_total_minor: int | None = None,
    owner: str = "",
    visitor: str = "",
    network: str = "",
    copies: kept.Kept = kept.NOTHING,
    places: Collection[str] = (),
) -> placement.Placed:
    """Place the order at the server's prices; the same key again gives the same order, to the same owner.

    `expected_total_minor` is what the buyer saw, if anything; see Note [What the buyer saw] in `shop/prices/quotes.py`.
    `visitor` and `network` are pseudonyms of who orders and from where, `copies` what is kept for them, `places` what
    was shown of waiting rooms.

    Quantities, addresses and the payment method must have been validated. Blocks for a few milliseconds.

    Raises:
        Changed: a price, the total or the stock is not what the buyer saw, or the coupon cannot be used.
        shop.waiting_room.guard.NotAdmitted: the sale's waiting room asks for a place that is admitted.
        orders.placing.placement.IdempotencyConflict: the key was used for another order.
        orders.placing.placement.CheckoutUnavailable: nothing is known to be ordered; try again later with the same key.
    """
    entry = guard.Entry(idempotency_key)
    try:
        # Looked at once: an order placed at the very moment a sale starts has one price, the one that was checked.
        offers = kept.applied(pricing.offers([line.sku for line in lines]), copies)
        found = price_check.differences_from(lines, offers)
        quote = None
        if not found:
            books = [(offers[line.sku], line.quantity) for line in lines]
            quote = quotes.of(books, wanted, now=timezone.now())
            found = quote.problems(expected_total_minor)
        # A key that has its order already gives that order, whatever became of prices and stock meanwhile.
        if found and not queries.is_placed(idempotency_key):
            REFUSED.labels(found[0].code).inc()
            raise Changed(found)
        queued = {offer.sale_id for offer in offers.values() if offer.sale_id and offer.has_waiting_room}
        if queued and not queries.is_placed(idempotency_key):
            entry.enter(queued, places)
        draft = _draft(idempotency_key, lines, contact, payment_method, user_id, offers)
        draft = replace(draft, owner=owner, visitor=visitor, network=network)
        draft = replace(draft, shipping_wanted=wanted.shipping, coupon_code=wanted.code)
        if quote is not None and not found:
            draft = replace(draft, terms=quote.terms)
            if quote.coupon is not None:
                claim = coupons.claim_of(quote.coupon, user_id=user_id, email=contact.email)
                draft = replace(draft, claim=claim)
        return placement.place(draft)
    except placement.CouponRefused as refused:
        entry.leave()
        REFUSED.labels("coupon_refused").inc()
        raise Changed([price_check.PriceOrStockChange(code="coupon_refused", sku="", sentence=str(refused))]) from None
    except (OperationalError, InterfaceError) as error:
        REFUSED.labels("unavailable").inc()
        activity.current.note_use("postgresql", error=type(error).__name__)
        raise placement.CheckoutUnavailable from error
    except placement.CheckoutUnavailable:
        REFUSED.labels("unavailable").inc()
        raise
    except placement.IdempotencyConflict:
        entry.leave()
        REFUSED.labels("key_of_another_order").inc()
        raise
    except guard.NotAdmitted:
        REFUSED.labels("not_admitted").inc()
        raise


def _draft(
    idempotency_key: UUID,
    lines: Sequence[price_check.WantedLine],
    contact: contacts.Contact,
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
        contact=flash_sales.customer_of(None, contact.email) if is_limited else "",
    )
