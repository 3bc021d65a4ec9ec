"""What looks wrong about an order. Handlers call it in a transaction, so it waits for nothing outside.

Thresholds are constants here to keep the example short; a service of your own reads them from settings.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db.models import Q

from events.orders import OrderCreated
from events.payments import PaymentConfirmed
from examples.fraud_check.models import FraudReview, SeenOrder
from kafka_bridge import Dated

LARGE_MINOR = 50_000
MANY_UNITS = 20
MANY_ORDERS = 5
WITHIN = timedelta(hours=1)


def note_placed(*, facts: Sequence[Dated[OrderCreated]]) -> None:
    """Keep what the check needs of these orders, and look at those that are paid already."""
    seen = [
        SeenOrder(
            order_id=event.order_id,
            placed_at=time,
            total_minor=event.total_minor,
            currency=event.currency,
            units_max=max((line.quantity for line in event.lines), default=0),
            visitor=event.visitor,
            network=event.network,
        )
        for event, time in facts
    ]
    kept = ["placed_at", "total_minor", "currency", "units_max", "visitor", "network"]
    SeenOrder.objects.bulk_create(seen, update_conflicts=True, unique_fields=["order_id"], update_fields=kept)
    _open_reviews([order.order_id for order in seen])


def note_paid(*, facts: Sequence[PaymentConfirmed]) -> None:
    """Note that these are paid, and look at those whose order is known already."""
    paid = [SeenOrder(order_id=event.order_id, paid=True) for event in facts]
    SeenOrder.objects.bulk_create(paid, update_conflicts=True, unique_fields=["order_id"], update_fields=["paid"])
    _open_reviews([order.order_id for order in paid])


def reasons(order: SeenOrder) -> list[str]:
    """What looks wrong about it, in words; an order of which only the payment is known looks right."""
    if order.placed_at is None:
        return []
    found = []
    if order.total_minor >= LARGE_MINOR:
        found.append(f"it comes to {order.total_minor / 100:.2f} {order.currency}")
    if order.units_max >= MANY_UNITS:
        found.append(f"{order.units_max} copies of one book")
    if (number := _others_like(order) + 1) >= MANY_ORDERS:
        found.append(f"{number} orders within an hour from one visitor or network")
    return found


def _others_like(order: SeenOrder) -> int:
    assert order.placed_at is not None  # noqa: S101 - asked before
    same = Q(visitor=order.visitor) & ~Q(visitor="") | Q(network=order.network) & ~Q(network="")
    near = Q(placed_at__gt=order.placed_at - WITHIN, placed_at__lte=order.placed_at)
    return SeenOrder.objects.filter(same, near).exclude(pk=order.pk).count()


def _open_reviews(order_ids: Sequence[UUID]) -> None:
    """Whichever of the two facts came second finds both; a review that is there already is left as it is."""
    found = {order: reasons(order) for order in SeenOrder.objects.filter(pk__in=order_ids, paid=True)}
    reviews = [FraudReview(order_id=order.pk, reasons="; ".join(why)[:500]) for order, why in found.items() if why]
    FraudReview.objects.bulk_create(reviews, ignore_conflicts=True)
