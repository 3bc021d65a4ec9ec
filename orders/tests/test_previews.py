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
    assert redrive_preview.dry_run(a_letter(event, group="orders")).startswith("There is no such order here")
