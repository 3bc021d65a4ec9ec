"""What the fraud check does when it hears an event."""

from collections.abc import Sequence

from events.orders import OrderCreated
from events.payments import PaymentConfirmed
from examples.fraud_check import services
from kafka_bridge import Dated, Group, stated

group = Group("fraud_check", believes=stated)  # manage.py run_consumer fraud_check


@group.on_dated_batch(OrderCreated)
def note_placed(facts: Sequence[Dated[OrderCreated]]) -> None:
    """Keep what an order looks like, and when it was placed."""
    services.note_placed(facts=facts)


@group.on_batch(PaymentConfirmed)
def note_paid(facts: Sequence[PaymentConfirmed]) -> None:
    """Only what is paid is worth a person's time."""
    services.note_paid(facts=facts)
