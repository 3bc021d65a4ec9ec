"""What inventory believes."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from events import catalogue
from inventory import stock_adjustments
from inventory.models import Reservation, Stock
from inventory.reservations import holds
from kafka_bridge import testing
from kafka_bridge.consuming import registry

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.money]
SKU = "9780000000019"
PAID: set[UUID] = set()


def captured(order_ids: Sequence[UUID]) -> set[UUID]:
    """Of these orders, those that are paid; what payments answers, for `settings.INVENTORY_PAYMENT_CHECK`."""
    return PAID & set(order_ids)


@pytest.fixture(autouse=True)
def two_copies(settings: Any) -> None:
    settings.INVENTORY_PAYMENT_CHECK = f"{__name__}.captured"
    PAID.clear()
    with transaction.atomic():
        stock_adjustments.receive(quantities={SKU: 2}, reason="test")


def confirmed(order_id: UUID, flow: str) -> catalogue.PaymentConfirmed:
    return catalogue.PaymentConfirmed(
        order_id=order_id, flow=flow, charge_id=uuid4(), transaction_id="t", amount_minor=500, currency="USD",
        payment_method="pm_success", lines=(catalogue.Line(sku=SKU, quantity=1, unit_price_minor=500),),
    )  # fmt: skip


def counts() -> tuple[int, int, int]:
    """Received, held, sold."""
    row = Stock.objects.get(pk=SKU)
    return row.received, row.held, row.sold


def hold(order_id: UUID) -> None:
    with transaction.atomic():
        holds.hold(requests=[holds.ReservationRequest(order_id=order_id, units={SKU: 1})])


def test_a_hold_becomes_a_sale_once_payments_has_the_money() -> None:
    order_id = uuid4()
    hold(order_id)
    PAID.add(order_id)
    testing.give("inventory", confirmed(order_id, catalogue.RESERVE_FIRST))
    assert counts() == (2, 0, 1)


@pytest.mark.parametrize("flow", catalogue.FLOWS)
def test_a_stranger_that_states_a_payment_sells_nothing(flow: str) -> None:
    """The event goes to the dead letters, and moves neither a hold nor the shelf."""
    order_id = uuid4()
    if flow == catalogue.RESERVE_FIRST:
        hold(order_id)
    before = counts()
    with pytest.raises(registry.Reject, match=str(order_id)):
        testing.give("inventory", confirmed(order_id, flow))
    assert counts() == before
    assert not Reservation.objects.filter(state="sold").exists()


def test_a_forged_event_among_true_ones_stops_only_itself() -> None:
    """The batch is rolled back, and the runner hands over one message after the other."""
    paid, unpaid = uuid4(), uuid4()
    hold(paid)
    hold(unpaid)
    PAID.add(paid)
    true, forged = (confirmed(order_id, catalogue.RESERVE_FIRST) for order_id in (paid, unpaid))
    with pytest.raises(registry.Reject, match=f"^payments knows of no captured money for {unpaid}$"):
        testing.give("inventory", true, forged)
    assert counts() == (2, 2, 0)
    testing.give("inventory", true)
    assert counts() == (2, 1, 1)
