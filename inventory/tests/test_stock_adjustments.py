"""Units arrive, are counted again, set aside for a sale and returned; and the ledger says so, for ever."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, transaction
from django.db.models import Sum
from django.utils import timezone

from inventory import stock_adjustments
from inventory.models import Movement, Reservation, Stock
from inventory.reservations import holds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stock]


def receive(**quantities: int) -> None:
    with transaction.atomic():
        stock_adjustments.receive(quantities=quantities, reason="delivery 7", by="ada")


def set_aside(units: dict[str, int], *, sale_id: int = 1, limit: int | None = None, ends_in: int = 3600) -> None:
    with transaction.atomic():
        stock_adjustments.set_aside(
            allotments=[
                stock_adjustments.Allotment(
                    sale_id=sale_id,
                    sku=sku,
                    units=number,
                    customer_limit=limit,
                    hold_seconds=None,
                    closes_at=timezone.now() + timedelta(seconds=ends_in),
                )
                for sku, number in units.items()
            ],
            reason="the sale of the year",
            by="ada",
        )


def hold(customer: str = "", **units: int) -> holds.ReservationOutcome:
    order = uuid4()
    request = holds.ReservationRequest(
        order_id=order, units={name.replace("_at_", "@"): n for name, n in units.items()}, customer=customer
    )
    with transaction.atomic():
        return holds.hold(requests=[request])[order]


def counts(name: str) -> tuple[int, int, int]:
    row = Stock.objects.get(pk=name)
    return row.received, row.held, row.sold


def ledger(name: str) -> tuple[int, int, int]:
    """What a pool's movements add up to."""
    sums = Movement.objects.filter(bin=name).aggregate(r=Sum("received"), h=Sum("held"), s=Sum("sold"))
    return sums["r"], sums["h"], sums["s"]


def test_what_arrives_is_noted_with_who_and_why() -> None:
    receive(a=5)
    receive(a=2)
    assert counts("a") == ledger("a") == (7, 0, 0)
    rows = Movement.objects.order_by("id").values_list("bin", "sku", "kind", "received", "by", "reason")
    assert list(rows) == [
        ("a", "a", "received", 5, "ada", "delivery 7"),
        ("a", "a", "received", 2, "ada", "delivery 7"),
    ]


@pytest.mark.parametrize("units", [0, -3, 10_000_001])
def test_impossible_arrivals_are_refused(units: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        receive(a=units)
    assert not Stock.objects.exists()


def test_a_correction_takes_only_what_is_free() -> None:
    receive(a=5)
    hold(a=3)
    with transaction.atomic():
        stock_adjustments.correct(sku="a", change=-2, reason="two are damaged", by="ada")
    assert counts("a") == ledger("a") == (3, 3, 0)
    with (
        pytest.raises(stock_adjustments.NotEnough, match="Only 0 units of a are free, so 1 cannot be missing"),
        transaction.atomic(),
    ):
        stock_adjustments.correct(sku="a", change=-1, reason="one more", by="ada")
    with transaction.atomic():
        stock_adjustments.correct(sku="a", change=4, reason="found behind the shelf", by="ada")
    assert counts("a") == ledger("a") == (7, 3, 0)
    with pytest.raises(ValueError, match="changes 1 to"), transaction.atomic():
        stock_adjustments.correct(sku="a", change=0, reason="nothing", by="ada")


def test_units_set_aside_are_sold_in_their_sale_and_nowhere_else() -> None:
    receive(a=10)
    set_aside({"a": 4})
    assert (counts("a"), counts("a@1")) == ((6, 0, 0), (4, 0, 0))
    assert [hold(a_at_1=3).held, hold(a_at_1=2).held, hold(a=6).held, hold(a=1).held] == [True, False, True, False]
    assert (counts("a"), counts("a@1")) == ((6, 6, 0), (4, 3, 0))
    assert (ledger("a"), ledger("a@1")) == (counts("a"), counts("a@1"))


def test_a_sale_can_be_given_more_and_less_but_not_less_than_it_has_sold() -> None:
    receive(a=10)
    set_aside({"a": 4})
    set_aside({"a": 7})
    assert (counts("a"), counts("a@1")) == ((3, 0, 0), (7, 0, 0))
    hold(a_at_1=5)
    set_aside({"a": 5})
    assert (counts("a"), counts("a@1")) == ((5, 0, 0), (5, 5, 0))
    with pytest.raises(stock_adjustments.NotEnough, match="5 units of a are held or sold in this sale already"):
        set_aside({"a": 4})
    with pytest.raises(
        stock_adjustments.NotEnough, match="Only 5 more units of a are free to be set aside; that would take 6"
    ):
        set_aside({"a": 11})
    assert (ledger("a"), ledger("a@1")) == ((5, 0, 0), (5, 5, 0))


def test_all_books_of_a_sale_are_set_aside_or_none() -> None:
    receive(a=10, b=1)
    with pytest.raises(stock_adjustments.NotEnough):
        set_aside({"a": 5, "b": 2})
    assert (counts("a"), counts("b")) == ((10, 0, 0), (1, 0, 0))
    assert Stock.objects.count() == 2


def test_what_a_sale_has_left_goes_back_when_it_is_over_also_what_comes_back_later() -> None:
    receive(a=10)
    set_aside({"a": 4}, ends_in=-1)
    order = uuid4()
    with transaction.atomic():
        holds.hold(requests=[holds.ReservationRequest(order_id=order, units={"a@1": 3})])
    with transaction.atomic():
        assert stock_adjustments.return_unsold() == 1
    assert (counts("a"), counts("a@1")) == ((7, 0, 0), (3, 3, 0))
    with transaction.atomic():
        assert stock_adjustments.return_unsold() == 0
        holds.release(order_ids=[order])
    with transaction.atomic():
        assert stock_adjustments.return_unsold() == 3
    assert (counts("a"), counts("a@1")) == (ledger("a"), ledger("a@1")) == ((10, 0, 0), (0, 0, 0))


def test_a_limit_counts_all_orders_of_a_customer_and_forgets_what_was_given_back() -> None:
    receive(a=10)
    set_aside({"a": 8}, limit=2)
    over = holds.ReservationOutcome(held=False, over_limit=("a",))
    assert [hold("ada", a_at_1=1), hold("ada", a_at_1=2), hold("ada", a_at_1=1), hold("ada", a_at_1=1)] == [
        holds.HELD, over, holds.HELD, over,
    ]  # fmt: skip
    assert hold("bob", a_at_1=2).held
    assert hold("ada", a=2).held, "the ordinary units have no limit"
    order = Reservation.objects.filter(holds__customer="ada").first()
    assert order is not None
    with transaction.atomic():
        holds.release(order_ids=[order.pk])
    assert hold("ada", a_at_1=1).held


def test_a_limit_holds_within_one_batch() -> None:
    receive(a=10)
    set_aside({"a": 8}, limit=2)
    requests = [holds.ReservationRequest(order_id=uuid4(), units={"a@1": 1}, customer="ada") for _ in range(5)]
    with transaction.atomic():
        outcomes = holds.hold(requests=requests)
    assert [outcomes[request.order_id].held for request in requests] == [True, True, False, False, False]


def test_a_part_is_given_back_once_however_often_it_is_said() -> None:
    receive(a=10, b=10)
    order = uuid4()
    with transaction.atomic():
        holds.hold(requests=[holds.ReservationRequest(order_id=order, units={"a": 5, "b": 2})])
    with transaction.atomic():
        holds.sell(order_ids=[order])
    for _ in range(2):
        with transaction.atomic():
            holds.give_back(reductions={order: {"a": 2}, uuid4(): {"a": 1}})
    assert (counts("a"), counts("b")) == ((10, 0, 3), (10, 0, 2))
    with transaction.atomic():
        holds.give_back(reductions={order: {"a": 3, "b": 2}})
        holds.give_back(reductions={order: {"a": 1}})
    assert (counts("a"), counts("b")) == ((10, 0, 2), (10, 0, 0))
    with transaction.atomic():
        holds.release(order_ids=[order])
        holds.give_back(reductions={order: {"a": 5}})
    assert (counts("a"), counts("b")) == (ledger("a"), ledger("b")) == ((10, 0, 0), (10, 0, 0))


def test_a_part_given_back_while_it_is_only_held_is_not_sold_later() -> None:
    receive(a=10)
    order = uuid4()
    with transaction.atomic():
        holds.hold(requests=[holds.ReservationRequest(order_id=order, units={"a": 5})])
        holds.give_back(reductions={order: {"a": 2}})
        holds.sell(order_ids=[order])
    assert counts("a") == ledger("a") == (10, 0, 3)


@pytest.mark.parametrize("change", [lambda: Movement.objects.update(received=0), Movement.objects.all().delete])
def test_the_ledger_is_written_once(change: Any) -> None:
    receive(a=5)
    with pytest.raises(DatabaseError, match="never changed or deleted"):
        change()
    assert ledger("a") == (5, 0, 0)
