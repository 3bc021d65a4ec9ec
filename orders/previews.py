"""What orders would make of an event now, in a sentence: for people who decide about dead letters."""

from events.base import OrderEvent
from kafka_bridge.consuming import registry
from orders.handlers import notifications, orders, shipping_group
from orders.models import Order, Status
from orders.state_machine.transitions import ANSWERS, Answer, answer_to

_WORDS = {
    Answer.MOVE: "would take its next step",
    Answer.ALREADY_DONE: "would be ignored, for it is done already",
    Answer.TOO_EARLY: "would be noted; the order waits for another fact",
    Answer.COMPENSATE: "would be noted; who stated it undoes it",
    Answer.ILLEGAL: "would be noted as impossible, and change nothing",
}


def preview(event: OrderEvent) -> str:
    """How the order stands, and what its answer to this event would be."""
    order = Order.objects.filter(pk=event.order_id).first()
    if order is None:
        raise registry.WouldFail("there is no such order")
    status = Status(order.status)
    return f"order {order.reference} is {status.label.lower()}: {_WORDS[answer_to(status, type(event))]}"


def preview_parcel(event: OrderEvent) -> str:
    """Whether the order still wants a parcel."""
    order = Order.objects.filter(pk=event.order_id).select_related("shipment").first()
    if order is None:
        return "there is no such order: would change nothing"
    if hasattr(order, "shipment"):
        return f"order {order.reference} has its parcel: would change nothing"
    if order.status != Status.PAID:
        return f"order {order.reference} is {Status(order.status).label.lower()}: would change nothing"
    return f"would pack a parcel for order {order.reference}"


def preview_mail(event: OrderEvent) -> str:
    """Whether there is somebody to write to."""
    order = Order.objects.filter(pk=event.order_id).first()
    if order is None:
        return "there is no such order: would change nothing"
    return f"would write the mail about {event.TYPE} to the buyer of order {order.reference}, unless that was done"


for _event in shipping_group.handlers:
    shipping_group.preview[_event] = preview_parcel
for _event in notifications.handlers:
    notifications.preview[_event] = preview_mail
for _, _event in ANSWERS:
    orders.preview[_event] = preview
