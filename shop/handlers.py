"""What analytics does when orders speak."""

from collections.abc import Sequence

from kafka_bridge import catalogue, registry
from shop import sales

group = registry.Group("analytics")  # manage.py run_consumer analytics


@group.on_batch(catalogue.OrderConfirmed)
def count_sales(events: Sequence[catalogue.OrderConfirmed]) -> None:
    """Units and revenue, by day and by title."""
    sales.count_confirmed(facts=events)


@group.on_batch(catalogue.OrderReduced)
def count_reductions(events: Sequence[catalogue.OrderReduced]) -> None:
    """Copies that were sold and will not be shipped."""
    sales.count_reduced(facts=events)


@group.on_batch(catalogue.OrderCancelled)
def count_cancellations(events: Sequence[catalogue.OrderCancelled]) -> None:
    """Orders that ended without a sale."""
    sales.count_cancelled(facts=events)


@group.on_batch(catalogue.OrderShipped)
def count_shipments(events: Sequence[catalogue.OrderShipped]) -> None:
    """Parcels that left."""
    sales.count_shipped(number=len(events))


@group.on_batch(catalogue.OrderDelivered)
def count_deliveries(events: Sequence[catalogue.OrderDelivered]) -> None:
    """Parcels that arrived."""
    sales.count_delivered(number=len(events))
