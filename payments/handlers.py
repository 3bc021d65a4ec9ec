"""What payments does when another app speaks."""

from collections.abc import Sequence

from events import catalogue
from kafka_bridge.believing import books
from kafka_bridge.consuming import registry
from payments import charges, refunds, reviews, webhooks
from payments.gateway_worker import GatewayWorker

group = registry.Group("payments", believes=books.stated)  # manage.py run_consumer payments


@group.on_batch(catalogue.InventoryReserved, flow=catalogue.RESERVE_FIRST)
def charge_held(events: Sequence[catalogue.InventoryReserved]) -> None:
    """The books are held: ask for the money."""
    charges.request_charges(requests=[_charge_request(event) for event in events])


@group.on_batch(catalogue.OrderCreated, flow=catalogue.PAYMENT_FIRST)
def charge_placed(events: Sequence[catalogue.OrderCreated]) -> None:
    """Money first: ask for it at once."""
    charges.request_charges(requests=[_charge_request(event) for event in events])


@group.on_batch(catalogue.OrderCancelled)
def undo(events: Sequence[catalogue.OrderCancelled]) -> None:
    """Do not charge; or give back what was taken, once."""
    charges.undo(cancelled=events)


@group.on_batch(catalogue.OrderReduced)
def return_part(events: Sequence[catalogue.OrderReduced]) -> None:
    """Give back what the cancelled copies cost, once for each reduction."""
    refunds.refund_parts(reduced=events)


@group.on_batch(catalogue.OrderReturned)
def pay_back_return(events: Sequence[catalogue.OrderReturned]) -> None:
    """Give back what the returned copies cost, once for each return."""
    refunds.refund_returns(returned=events)


@group.on_batch(catalogue.PaymentNotified)
def look_again(events: Sequence[catalogue.PaymentNotified]) -> None:
    """A webhook came: ask the gateway now, instead of when it would have been time."""
    webhooks.look_again(notified=events)


@group.on_batch(catalogue.OrderPaymentRefused)
def have_it_reviewed(events: Sequence[catalogue.OrderPaymentRefused]) -> None:
    """A payment was stated that is none of ours: a person looks."""
    reviews.review_refused(refused=events)


group.worker(GatewayWorker().work)


def _charge_request(event: catalogue.OrderCreated | catalogue.InventoryReserved) -> charges.ChargeRequest:
    return charges.ChargeRequest(
        order_id=event.order_id,
        flow=event.flow,
        amount_minor=event.total_minor,
        currency=event.currency,
        payment_method=event.payment_method,
        lines=event.lines,
        customer=event.customer if isinstance(event, catalogue.OrderCreated) else "",
        contact=event.contact if isinstance(event, catalogue.OrderCreated) else "",
        until=event.held_until if isinstance(event, catalogue.InventoryReserved) else None,
        shipping_minor=event.shipping_minor,
    )
