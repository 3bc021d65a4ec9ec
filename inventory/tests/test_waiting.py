"""Holds that wait for their buyers: how many one visitor and one network may have."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from inventory import stock_adjustments
from inventory.models import Reservation
from inventory.reservations import holds, waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock, pytest.mark.security]
SKU = "9780000000019"


@pytest.fixture(autouse=True)
def thirty_six_copies() -> None:
    with transaction.atomic():
        stock_adjustments.receive(quantities={SKU: 36}, reason="test")


def hold(units: int, *, visitor: str = "", network: str = "") -> UUID:
    order_id = uuid4()
    with transaction.atomic():
        holds.hold(
            requests=[holds.ReservationRequest(order_id=order_id, units={SKU: units}, visitor=visitor, network=network)]
        )
    return order_id


def wait(*order_ids: UUID) -> set[UUID]:
    with transaction.atomic():
        return waiting.note_waiting(order_ids=order_ids)


def test_two_guests_of_one_network_do_not_get_all_copies() -> None:
    """XA5: the first one's hold stays, the second one's runs out at once."""
    first = hold(20, visitor="a", network="n")
    second = hold(16, visitor="b", network="n")
    assert wait(first, second) == {second}
    assert wait(first, second) == set(), "heard again, nothing changes"
    row = Reservation.objects.get(pk=second)
    assert row.expires_at is not None and row.expires_at <= timezone.now()
    assert row.too_many_unpaid
    assert not Reservation.objects.get(pk=first).too_many_unpaid


def test_one_visitor_from_many_networks() -> None:
    """XA5: a quarter of what is not sold; what was given up counts no more."""
    orders = [hold(3, visitor="a", network=f"n{number}") for number in range(5)]
    assert [wait(order) for order in orders] == [set(), set(), set(), {orders[3]}, {orders[4]}]


def test_others_and_those_who_pay_at_once_are_not_counted() -> None:
    """XA5: a company behind one address buys in the same moment; nobody without a name is bound."""
    paid = [hold(1, visitor=f"v{number}", network="n") for number in range(20)]
    with transaction.atomic():
        holds.sell(order_ids=paid)
    assert wait(*paid) == set()
    assert wait(*[hold(1, visitor=f"w{number}", network="n") for number in range(8)]) == set()
    assert wait(*[hold(1) for _ in range(8)]) == set()


def test_many_at_once_are_counted_one_by_one() -> None:
    """XA5: two consumers hear of them in the same moment."""
    orders = [hold(3, visitor=f"v{number}", network="n") for number in range(12)]

    def hear(order: UUID) -> set[UUID]:
        try:
            return wait(order)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        given_up = set().union(*pool.map(hear, orders))
    assert len(orders) - len(given_up) == 6, "half of 36 copies, three an order"


def test_holds_are_shorter_where_few_are_left(settings: Any) -> None:
    """XA5."""
    settings.HOLD_SECONDS, settings.SCARCE_HOLD_SECONDS = 600, 240

    def lasts(order_id: UUID) -> float:
        row = Reservation.objects.get(pk=order_id)
        assert row.expires_at is not None
        return (row.expires_at - timezone.now()).total_seconds()

    assert lasts(hold(1)) > 590
    assert 200 < lasts(hold(20)) <= 240
