"""How inventory reacts to events of the other apps."""

from collections.abc import Callable, Sequence
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from events import catalogue
from inventory import models
from inventory.reservations import holds, waiting
from kafka_bridge.believing import books
from kafka_bridge.consuming import registry
from kafka_bridge.publishing import outbox

group = registry.Group("inventory", believes=books.stated)  # manage.py run_consumer inventory


@group.on_batch(catalogue.OrderCreated, flow=catalogue.RESERVE_FIRST)
def hold_stock(events: Sequence[catalogue.OrderCreated]) -> None:
    """Hold all lines of each order, or none, and publish the outcome."""
    outcomes = holds.hold(requests=[_request(event) for event in events])
    outbox.publish(
        *(
            _answer(event, event.total_minor, event.shipping_minor, outcomes[event.order_id])
            for event in events
            if event.order_id in outcomes
        )
    )


@group.on_batch(catalogue.PaymentConfirmed, flow=catalogue.RESERVE_FIRST)
def sell_held(events: Sequence[catalogue.PaymentConfirmed]) -> None:
    """Turn the hold of a paid order into a sale, after checking with payments that it is paid."""
    _refuse_unpaid(events)
    holds.sell(order_ids=[event.order_id for event in events])


@group.on_batch(catalogue.PaymentConfirmed, flow=catalogue.PAYMENT_FIRST)
def hold_paid(events: Sequence[catalogue.PaymentConfirmed]) -> None:
    """Hold and sell in one step, since the order is paid; after checking with payments that it is."""
    _refuse_unpaid(events)
    outcomes = holds.hold(requests=[_request(event) for event in events], as_sold=True)
    outbox.publish(
        *(
            _answer(event, event.amount_minor, _shipping_of(event), outcomes[event.order_id])
            for event in events
            if event.order_id in outcomes
        )
    )


@group.on_batch(catalogue.PaymentActionRequired, flow=catalogue.RESERVE_FIRST)
def bound_unpaid(events: Sequence[catalogue.PaymentActionRequired]) -> None:
    """Note that these orders wait for their buyers; holds beyond what one visitor or network may have run out now."""
    waiting.note_waiting(order_ids=[event.order_id for event in events])


@group.on_batch(catalogue.OrderReduced)
def give_back(events: Sequence[catalogue.OrderReduced]) -> None:
    """Free exactly the units that were cancelled. Each event has the totals, so the last one counts."""
    holds.give_back(reductions={event.order_id: {line.sku: line.quantity for line in event.lines} for event in events})


@group.on_batch(catalogue.OrderCancelled)
def release_stock(events: Sequence[catalogue.OrderCancelled]) -> None:
    """Give back whatever these orders hold; a second call finds nothing to give."""
    holds.release(order_ids=[event.order_id for event in events])


def _refuse_unpaid(events: Sequence[catalogue.PaymentConfirmed]) -> None:
    """Do not trust the event alone: anyone with write access to the topic could have published it.

    Raises:
        registry.Reject: payments has not captured the money of some of these orders.
    """
    paid = paid_orders([event.order_id for event in events])
    if unpaid := {event.order_id for event in events} - paid:
        raise registry.Reject(f"payments knows of no captured money for {', '.join(map(str, sorted(unpaid)))}")


def paid_orders(order_ids: Sequence[UUID]) -> set[UUID]:
    """Ask payments, which inventory may not import; `settings.INVENTORY_PAYMENT_CHECK` names the function."""
    check: Callable[[Sequence[UUID]], set[UUID]] = import_string(settings.INVENTORY_PAYMENT_CHECK)
    return check(order_ids)


def _request(event: catalogue.OrderCreated | catalogue.PaymentConfirmed) -> holds.ReservationRequest:
    return holds.ReservationRequest(
        order_id=event.order_id,
        flow=event.flow,
        units={models.pool_name(line.sku, line.sale_id): line.quantity for line in event.lines},
        customer=event.customer,
        contact=event.contact,
        visitor=event.visitor if isinstance(event, catalogue.OrderCreated) else "",
        network=event.network if isinstance(event, catalogue.OrderCreated) else "",
    )


def _shipping_of(event: catalogue.PaymentConfirmed) -> int:
    """What was paid that is for no line; 0 where a payment of before names no lines."""
    return event.amount_minor - sum(line.paid_minor for line in event.lines) if event.lines else 0


def _answer(
    event: catalogue.OrderCreated | catalogue.PaymentConfirmed,
    total_minor: int,
    shipping_minor: int,
    outcome: holds.ReservationOutcome,
) -> catalogue.InventoryReserved | catalogue.InventoryInsufficient:
    if not outcome.held:
        return catalogue.InventoryInsufficient(
            order_id=event.order_id, flow=event.flow, missing=outcome.missing, over_limit=outcome.over_limit
        )
    return catalogue.InventoryReserved(
        order_id=event.order_id,
        flow=event.flow,
        lines=event.lines,
        total_minor=total_minor,
        currency=event.currency,
        payment_method=event.payment_method,
        held_until=outcome.until,
        shipping_minor=shipping_minor,
    )
