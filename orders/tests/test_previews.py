"""What a dead letter's page says an order would answer."""

from uuid import uuid4

import pytest
from django.db import transaction

from devtools.testing.bridge.dead_letters import a_letter
from devtools.testing.shop.orders import draft
from events import catalogue
from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import redrive_preview
from orders.models import Order, Status
from orders.placing import placement

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]


def test_every_event_that_orders_hear_has_a_preview() -> None:
    orders = registry.find("orders")
    assert set(orders.preview) == {event for event in catalogue.EVENTS if orders.knows(event)}


def test_the_answer_of_the_order_as_it_stands_now_is_told() -> None:
    order = Order.objects.get(pk=placement.place(draft()).order_id)
    letter = a_letter(
        catalogue.PaymentFailed(order_id=order.pk, flow=order.flow, charge_id=uuid4(), reason="declined"),
        group="orders",
    )
    name = f"Order {order.reference}"
    assert redrive_preview.dry_run(letter) == f"{name} is {Status.PENDING.label.lower()}: would take its next step."
    with transaction.atomic():
        order.move_to(Status.CANCELLED, at=order.placed_at)
        Order.objects.write([order])
    assert redrive_preview.dry_run(letter) == f"{name} is cancelled: would be ignored, for it is done already."


def test_an_order_that_is_not_there_is_told() -> None:
    event = catalogue.InventoryInsufficient(order_id=uuid4(), flow="reserve_first", missing=("x",))
    forecast = redrive_preview.forecast(a_letter(event, group="orders"))
    assert (forecast.words, forecast.would_fail) == ("Would fail again: there is no such order.", True)


@pytest.mark.security
def test_shipping_and_notifications_say_what_they_would_do() -> None:
    """XC6: and not which function would be called."""
    order = Order.objects.get(pk=placement.place(draft()).order_id)
    confirmed, ghost = (
        catalogue.OrderConfirmed(order_id=order_id, flow=order.flow, lines=(), total_minor=1, currency="USD")
        for order_id in (order.pk, uuid4())
    )
    told = {
        (group, name): redrive_preview.dry_run(a_letter(event, group=group))
        for group in ("shipping", "notifications")
        for name, event in (("order", confirmed), ("ghost", ghost))
    }
    assert told == {
        ("shipping", "order"): f"Order {order.reference} is pending: would change nothing.",
        ("shipping", "ghost"): "There is no such order: would change nothing.",
        ("notifications", "order"): (
            f"Would write the mail about order.confirmed to the buyer of order {order.reference}, unless that was done."
        ),
        ("notifications", "ghost"): "There is no such order: would change nothing.",
    }
