"""What a dead letter's page says inventory would do."""

from uuid import uuid4

import pytest
from django.db import transaction

from devtools.testing.bridge.bridge_events import cancelled, created
from devtools.testing.bridge.dead_letters import a_letter
from events import catalogue
from inventory.models import Stock
from kafka_bridge import testing
from kafka_bridge.consuming import registry
from kafka_bridge.dead_letters import redrive_preview
from kafka_bridge.wire.events import Event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults, pytest.mark.security]


def told(event: Event) -> str:
    return redrive_preview.dry_run(a_letter(event, group="inventory"))


def test_every_event_that_inventory_hears_has_a_preview() -> None:
    """XC6."""
    group = registry.find("inventory")
    assert {event.TYPE for event in group.preview} == group.heard_types


def test_what_would_become_of_the_stock_is_told() -> None:
    """XC6."""
    event = created()
    [line] = event.lines
    assert told(event) == f"Would be refused: not enough of {line.sku} is free."
    Stock.objects.create(bin=line.sku, sku=line.sku, received=3)
    assert told(event) == f"Would hold 1 x {line.sku}."
    assert told(cancelled(event.order_id)) == "Inventory has nothing of this order: would free nothing."
    testing.give("inventory", event)
    assert told(event) == "The order's stock is held: would change nothing."
    assert told(cancelled(event.order_id)) == "Would put all copies back."
    with transaction.atomic():
        assert Stock.objects.get().held == 1, "nothing was done"


def test_a_payment_that_is_none_would_fail_again() -> None:
    """XC6: sending it again is not the main button."""
    ghost = catalogue.PaymentConfirmed(
        order_id=uuid4(), flow=catalogue.RESERVE_FIRST, charge_id=uuid4(), amount_minor=1, currency="USD",
        transaction_id="t", payment_method="pm_success", lines=(),
    )  # fmt: skip
    forecast = redrive_preview.forecast(a_letter(ghost, group="inventory"))
    assert (forecast.words, forecast.would_fail) == (
        "Would fail again: payments knows of no captured money for this order.", True,
    )  # fmt: skip
