"""What payments does when another app speaks."""

from collections.abc import Sequence

from events import catalogue
from kafka_bridge.consuming import registry
from payments import services
from payments.gateway_worker import GatewayWorker

group = registry.Group("payments")  # manage.py run_consumer payments


@group.on_batch(catalogue.InventoryReserved, flow=catalogue.RESERVE_FIRST)
def charge_held(events: Sequence[catalogue.InventoryReserved]) -> None:
    """The books are held: ask for the money."""
    services.request_charges(dues=[_due(event) for event in events])


@group.on_batch(catalogue.OrderCreated, flow=catalogue.PAYMENT_FIRST)
def charge_placed(events: Sequence[catalogue.OrderCreated]) -> None:
    """Money first: ask for it at once."""
    services.request_charges(dues=[_due(event) for event in events])


@group.on_batch(catalogue.OrderCancelled)
def undo(events: Sequence[catalogue.OrderCancelled]) -> None:
    """Do not charge; or give back what was taken, once."""
    services.undo(cancelled=events)


@group.on_batch(catalogue.OrderReduced)
def return_part(events: Sequence[catalogue.OrderReduced]) -> None:
    """Give back what the cancelled copies cost, once for each reduction."""
    services.refund_parts(reduced=events)


@group.on_batch(catalogue.OrderReturned)
def pay_back_return(events: Sequence[catalogue.OrderReturned]) -> None:
    """Give back what the returned copies cost, once for each return."""
    services.refund_returns(returned=events)


@group.on_batch(catalogue.PaymentNotified)
def look_again(events: Sequence[catalogue.PaymentNotified]) -> None:
    """The gateway knocked: ask it now, instead of when it would have been time."""
    services.look_again(notified=events)


@group.on_batch(catalogue.OrderPaymentRefused)
def have_it_reviewed(events: Sequence[catalogue.OrderPaymentRefused]) -> None:
    """Somebody stated a payment that is none of ours: a person looks."""
    services.review_refused(refused=events)


group.worker(GatewayWorker().work)


def _due(event: catalogue.OrderCreated | catalogue.InventoryReserved) -> services.Due:
    return services.Due(
        order_id=event.order_id,
        flow=event.flow,
        amount_minor=event.total_minor,
        currency=event.currency,
        payment_method=event.payment_method,
        lines=event.lines,
        customer=event.customer if isinstance(event, catalogue.OrderCreated) else "",
        until=event.held_until if isinstance(event, catalogue.InventoryReserved) else None,
    )
