"""How analytics reacts to events about orders and books."""

from collections.abc import Sequence

from events import catalogue
from kafka_bridge.believing import books
from kafka_bridge.consuming import registry
from kafka_bridge.consuming.registry import Dated
from shop.analytics import activity, book_prices, plausibility, sales_figures
from shop.models import BookHour, BookPrice, BookSales, DailySales, SearchHour

# Sums are as good half a second later.
group = registry.Group("analytics", believes=books.stated, patience_seconds=0.5)  # manage.py run_consumer analytics
group.projection(DailySales, BookSales, BookPrice, BookHour, SearchHour)


@group.on_dated_batch(catalogue.OrderConfirmed)
def count_sales(events: Sequence[Dated[catalogue.OrderConfirmed]]) -> None:
    """Units and revenue, by day and by title."""
    sales_figures.count_confirmed(facts=events)
    activity.count_paid(facts=events)


@group.on_dated_batch(catalogue.OrderCreated)
def count_orders(events: Sequence[Dated[catalogue.OrderCreated]]) -> None:
    """Books that were ordered, by the hour."""
    activity.count_ordered(facts=events)


@group.on_dated_batch(catalogue.OrderReduced)
def count_reductions(events: Sequence[Dated[catalogue.OrderReduced]]) -> None:
    """Copies that were sold and will not be shipped."""
    sales_figures.count_reduced(facts=events)


@group.on_dated_batch(catalogue.OrderCancelled)
def count_cancellations(events: Sequence[Dated[catalogue.OrderCancelled]]) -> None:
    """Orders that ended without a sale, and sales that were undone."""
    sales_figures.count_cancelled(facts=events)


@group.on_dated_batch(catalogue.OrderShipped)
def count_shipments(events: Sequence[Dated[catalogue.OrderShipped]]) -> None:
    """Parcels that left."""
    sales_figures.count_shipped(facts=events)


@group.on_dated_batch(catalogue.OrderDelivered)
def count_deliveries(events: Sequence[Dated[catalogue.OrderDelivered]]) -> None:
    """Parcels that arrived."""
    sales_figures.count_delivered(facts=events)


@group.on_dated_batch(catalogue.BookUpdated)
def note_prices(events: Sequence[Dated[catalogue.BookUpdated]]) -> None:
    """What a book costs now, and what it did before."""
    book_prices.note(facts=events)


@group.on_dated_batch(catalogue.PageViewed, believes=plausibility.plausible)
def count_views(events: Sequence[Dated[catalogue.PageViewed]]) -> None:
    """How often books were looked at, by the hour."""
    activity.count_views(facts=events)


@group.on_dated_batch(catalogue.CartChanged, believes=plausibility.plausible)
def count_carts(events: Sequence[Dated[catalogue.CartChanged]]) -> None:
    """How often books were put into carts, by the hour."""
    activity.count_carts(facts=events)


@group.on_dated_batch(catalogue.SearchMade, believes=plausibility.plausible)
def count_searches(events: Sequence[Dated[catalogue.SearchMade]]) -> None:
    """What was searched for, and what was not found, by the hour."""
    activity.count_searches(facts=events)
