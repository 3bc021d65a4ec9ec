"""What orders would make of an event now, in a sentence: for people who decide about dead letters."""

from events.base import OrderEvent
from orders.handlers import orders
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
        return "there is no such order here: would fail again, or wait for it"
    status = Status(order.status)
    return f"order {order.reference} is {status.label.lower()}: {_WORDS[answer_to(status, type(event))]}"


for _, _event in ANSWERS:
    orders.preview[_event] = preview
