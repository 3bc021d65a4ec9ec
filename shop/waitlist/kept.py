"""The copies that are kept for a visitor, as offers: who opened the link of the mail orders that very copy."""

from collections.abc import Mapping
from dataclasses import replace

from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone

from inventory import kept_copies
from inventory import queries as inventory_queries
from shop.books import pricing
from shop.models import WaitlistEntry

_SESSION_KEY, _MOST = "kept_copies", 20
Kept = Mapping[str, int]
"""By sku, the number of the copy."""
NOTHING: Kept = {}


def remember(session: SessionBase, entry: WaitlistEntry) -> None:
    """This visitor orders the copy of this entry from now on."""
    others = [other for other in session.get(_SESSION_KEY, []) if other != entry.pk]
    session[_SESSION_KEY] = [entry.pk, *others][:_MOST]


def of_visitor(session: SessionBase) -> Kept:
    """The copies that are kept for this visitor and not ordered yet."""
    if not (ids := session.get(_SESSION_KEY)):
        return NOTHING
    told = WaitlistEntry.objects.filter(pk__in=ids, state=WaitlistEntry.State.TOLD, held_until__gt=timezone.now())
    found = dict(told.values_list("pk", "sku"))
    free = inventory_queries.free_by_pool([kept_copies.pool_of(sku, number) for number, sku in found.items()])
    return {sku: number for number, sku in found.items() if free.get(kept_copies.pool_of(sku, number))}


def applied(offers: pricing.Offers, kept: Kept) -> dict[str, pricing.Offer]:
    """The offers, those of kept copies from their own pools; the price is everybody's."""
    return {
        sku: replace(offer, sale_id=kept_copies.sale_id_of(kept[sku])) if sku in kept else offer
        for sku, offer in offers.items()
    }
