"""What the fraud check would make of an event now: for people who decide about dead letters."""

from events.base import OrderEvent
from examples.fraud_check.handlers import group
from examples.fraud_check.models import FraudReview


def preview(event: OrderEvent) -> str:
    """Whether there is a review of the order already."""
    if FraudReview.objects.filter(pk=event.order_id).exists():
        return f"order {event.order_id} has its review: would change nothing in it"
    return f"would note {event.TYPE} of order {event.order_id}, and open a review if it looks wrong"


for _event in group.handlers:
    group.preview[_event] = preview
