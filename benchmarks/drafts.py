"""Orders at random, as the checkout would hand them on."""

import random
from collections.abc import Iterator
from uuid import uuid4

from django.conf import settings

from events import catalogue
from orders.placing import placement
from payments.models import Charge
from shop.books import pricing
from shop.models import Book


def endless(*, seed: int) -> Iterator[placement.Draft]:
    """Orders of two books each; the same seed picks the same books."""
    picker = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
    listed = Book.objects.filter(is_listed=True).values_list("isbn", flat=True)
    offers = list(pricing.offers(list(listed)).values())
    while True:
        yield placement.Draft(
            idempotency_key=uuid4(),
            lines=tuple(
                placement.DraftLine(
                    sku=offer.sku,
                    title=offer.title,
                    unit_price_minor=offer.price_minor,
                    quantity=picker.randint(1, 3),
                )
                for offer in picker.sample(offers, 2)
            ),
            currency=settings.CURRENCY,
            flow=catalogue.RESERVE_FIRST,
            payment_method="pm_success",
            name="Ada Reader",
            email="ada.reader@bookrush.example",
            address_line1="12 Library Lane",
            city="Alexandria",
            postcode="22301",
            country="US",
        )


def created(draft: placement.Draft) -> catalogue.OrderCreated:
    """What orders says once this draft is placed."""
    return catalogue.OrderCreated(
        order_id=draft.order_id,
        flow=draft.flow,
        lines=lines_of(draft),
        total_minor=draft.total_minor,
        currency=draft.currency,
        payment_method=draft.payment_method,
    )


def reserved(draft: placement.Draft) -> catalogue.InventoryReserved:
    """What inventory says once it holds all of this draft."""
    return catalogue.InventoryReserved(
        order_id=draft.order_id,
        flow=draft.flow,
        lines=lines_of(draft),
        total_minor=draft.total_minor,
        currency=draft.currency,
        payment_method=draft.payment_method,
    )


def paid(draft: placement.Draft) -> catalogue.PaymentConfirmed:
    """What payments says once the money of this draft is in."""
    return catalogue.PaymentConfirmed(
        order_id=draft.order_id,
        flow=draft.flow,
        charge_id=uuid4(),
        transaction_id=f"bench_{draft.order_id.hex}",
        amount_minor=draft.total_minor,
        currency=draft.currency,
        payment_method=draft.payment_method,
        lines=lines_of(draft),
    )


def captured(fact: catalogue.PaymentConfirmed) -> Charge:
    """The charge behind it, which orders asks payments for; not saved."""
    return Charge(
        id=fact.charge_id,
        order_id=fact.order_id,
        flow=fact.flow,
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        payment_method=fact.payment_method,
        state=Charge.State.SUCCEEDED,
        transaction_id=fact.transaction_id,
    )


def lines_of(draft: placement.Draft) -> tuple[catalogue.Line, ...]:
    """The draft's lines as events carry them."""
    return tuple(
        catalogue.Line(sku=line.sku, quantity=line.quantity, unit_price_minor=line.unit_price_minor)
        for line in draft.lines
    )
