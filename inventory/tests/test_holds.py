"""Holding, selling and releasing: all lines or none, each once, without deadlocks."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from inventory import queries, stock_adjustments
from inventory.models import Hold, Reservation, Stock
from inventory.reservations import holds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]


def receive(**quantities: int) -> None:
    with transaction.atomic():
        stock_adjustments.receive(quantities=quantities, reason="test")


def hold(*requests: dict[str, int], as_sold: bool = False) -> tuple[list[UUID], dict[UUID, holds.ReservationOutcome]]:
    """Hold these baskets in one batch: the orders' ids, and what became of them."""
    ids = [uuid4() for _ in requests]
    with transaction.atomic():
        outcomes = holds.hold(
            requests=[
                holds.ReservationRequest(order_id=i, units=units) for i, units in zip(ids, requests, strict=True)
            ],
            as_sold=as_sold,
        )
    return ids, outcomes


def counts(sku: str) -> tuple[int, int, int]:
    row = Stock.objects.get(sku=sku)
    return row.received, row.held, row.sold


def test_all_lines_or_none_first_come_first_served() -> None:
    receive(a=3, b=1)
    ids, outcomes = hold({"a": 2, "b": 1}, {"a": 1, "b": 1}, {"a": 1}, {"a": 1}, {"unheard-of": 1})
    assert [outcomes[i] for i in ids] == [
        holds.ReservationOutcome(held=True),
        holds.ReservationOutcome(held=False, missing=("b",)),
        holds.ReservationOutcome(held=True),
        holds.ReservationOutcome(held=False, missing=("a",)),
        holds.ReservationOutcome(held=False, missing=("unheard-of",)),
    ]
    assert (counts("a"), counts("b")) == ((3, 3, 0), (1, 1, 0))
    assert queries.free_by_pool(["a", "b", "unheard-of"]) == {"a": 0, "b": 0}


def test_a_hold_becomes_a_sale_once() -> None:
    receive(a=5)
    ids, _ = hold({"a": 2})
    for _ in range(2):
        with transaction.atomic():
            holds.sell(order_ids=ids)
    assert counts("a") == (5, 0, 2)


@pytest.mark.parametrize("as_sold", [False, True])
def test_a_release_gives_back_exactly_what_was_taken_once(as_sold: bool) -> None:
    receive(a=5, b=5)
    ids, _ = hold({"a": 2, "b": 1}, {"a": 1}, as_sold=as_sold)
    for _ in range(2):
        with transaction.atomic():
            holds.release(order_ids=ids[:1])
    assert counts("a") == ((5, 0, 1) if as_sold else (5, 1, 0))
    assert counts("b") == (5, 0, 0)


def test_a_hold_that_comes_after_the_release_holds_nothing() -> None:
    receive(a=5)
    late = uuid4()
    with transaction.atomic():
        holds.release(order_ids=[late])
    with transaction.atomic():
        assert holds.hold(requests=[holds.ReservationRequest(order_id=late, units={"a": 1})]) == {}
    assert counts("a") == (5, 0, 0)


@pytest.mark.parametrize("units", [{}, {"a": 0}, {"a": -3}])
def test_nonsense_is_refused_and_raises_no_stock(units: dict[str, int]) -> None:
    """Minus three once raised a naive counter."""
    receive(a=5)
    with pytest.raises(ValueError, match="must be 1 to 20"):
        hold(units)
    with pytest.raises(ValueError, match="must be 1 or more"):
        receive(a=-3)
    assert counts("a") == (5, 0, 0)


def test_outside_of_a_transaction_nothing_is_done() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        holds.hold(requests=[holds.ReservationRequest(order_id=uuid4(), units={"a": 1})])


def test_opposite_baskets_at_once_never_deadlock_and_never_oversell() -> None:
    """Eight competitors, the same five books, every basket in another order."""
    skus = ["a", "b", "c", "d", "e"]
    receive(**dict.fromkeys(skus, 40))

    def compete(seed: int) -> None:
        shuffled = random.Random(seed)  # noqa: S311 - to be repeatable
        try:
            for _ in range(15):
                baskets = [dict.fromkeys(shuffled.sample(skus, 3), 1) for _ in range(4)]
                ids, outcomes = hold(*baskets)
                _settle([i for i in ids if outcomes[i].held], shuffled)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(compete, range(8)))

    for sku in skus:
        received, held, sold = counts(sku)
        booked = Hold.objects.filter(sku=sku, reservation__state__in=("held", "sold")).aggregate(s=Sum("quantity"))["s"]
        assert received == 40
        assert held + sold == (booked or 0) <= received
    assert Reservation.objects.count() == 8 * 15 * 4


def _settle(ids: Sequence[UUID], chance: random.Random) -> None:
    """Some are sold, some released, some stay held."""
    with transaction.atomic():
        holds.sell(order_ids=[i for i in ids if chance.random() < 0.4])
    with transaction.atomic():
        holds.release(order_ids=[i for i in ids if chance.random() < 0.4])
