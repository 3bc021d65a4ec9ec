"""Money of a part of an order goes back: once for each reduction, and never more than was taken."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from devtools.testing.payments.charges import ask_for, cancelled, captured_by_hand
from events import catalogue
from events.base import OrderEvent
from kafka_bridge import testing
from payments import charges, refunds
from payments.gateways import Succeeded
from payments.models import Charge, Refund
from payments.state_machine import claiming, settlement

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.stock,
    pytest.mark.money,
    pytest.mark.usefixtures("sandbox_gateway"),
]


def reduced(order_id: UUID, number: int, amount_minor: int) -> catalogue.OrderReduced:
    return catalogue.OrderReduced(
        order_id=order_id, flow="reserve_first", lines=(), amount_minor=amount_minor, reduction=number,
        currency="USD", reason="damaged",
    )  # fmt: skip


def returned(order_id: UUID, number: int, amount_minor: int) -> catalogue.OrderReturned:
    return catalogue.OrderReturned(
        order_id=order_id, flow="reserve_first", lines=(), amount_minor=amount_minor, number=number,
        currency="USD", reason="torn",
    )  # fmt: skip


def hear(*events: OrderEvent, offset: int = 0) -> None:
    """Payments has these in one batch."""
    testing.give("payments", *events, topic_offset=offset)


def going_back() -> list[tuple[str, int]]:
    return list(Refund.objects.order_by("created_at", "id").values_list("reason", "amount_minor"))


def test_each_reduction_is_refunded_once() -> None:
    order_id = captured_by_hand()
    hear(reduced(order_id, 1, 500), reduced(order_id, 2, 500), reduced(order_id, 1, 500))
    hear(reduced(order_id, 2, 500), offset=10)
    assert sorted(going_back()) == [("reduction 1: damaged", 500), ("reduction 2: damaged", 500)]


def test_no_more_goes_back_than_was_taken() -> None:
    order_id = captured_by_hand()
    hear(reduced(order_id, 1, 1500), reduced(order_id, 2, 1500), reduced(order_id, 3, 1500))
    assert sorted(going_back()) == [("reduction 1: damaged", 1500), ("reduction 2: damaged", 499)]
    hear(cancelled(order_id), offset=10)
    assert sum(amount for _, amount in going_back()) == 1999


def test_a_cancellation_returns_only_the_rest() -> None:
    order_id = captured_by_hand()
    hear(reduced(order_id, 1, 500), cancelled(order_id))
    hear(cancelled(order_id), offset=10)
    assert sorted(going_back()) == [("reduction 1: damaged", 500), ("test", 1499)]


def test_a_reduction_that_is_heard_after_the_end_returns_nothing_more() -> None:
    order_id = captured_by_hand()
    hear(cancelled(order_id))
    hear(reduced(order_id, 1, 500), offset=10)
    assert going_back() == [("test", 1999)]


@pytest.mark.parametrize("is_part_first", [True, False])
def test_the_last_refund_says_that_nothing_is_left(is_part_first: bool) -> None:
    order_id = captured_by_hand()
    hear(reduced(order_id, 1, 500), cancelled(order_id))
    refunds = sorted(claiming.claim_refunds(limit=5), key=lambda refund: refund.amount_minor)
    for refund in refunds if is_part_first else reversed(refunds):
        with transaction.atomic():
            settlement.settle(charges=[], refunds=[(refund, Succeeded(f"sbx_re_{refund.amount_minor}"))])
    said = testing.stated(catalogue.PaymentRefunded)
    assert [(e.amount_minor, e.left_minor, e.number) for e in said if isinstance(e, catalogue.PaymentRefunded)] == (
        [(500, 1499, 1), (1499, 0, 2)] if is_part_first else [(1499, 500, 1), (500, 0, 2)]
    )


def test_two_workers_that_settle_two_refunds_at_once_tell_of_one_end() -> None:
    """Each of them alone would see the other's refund as still open, and nobody would say that nothing is left."""
    for _ in range(5):
        order_id = captured_by_hand()
        hear(reduced(order_id, 1, 500), cancelled(order_id))
        both = threading.Barrier(2)

        def settle(refund: Refund, both: threading.Barrier = both) -> None:
            try:
                with transaction.atomic():
                    both.wait(10)
                    settlement.settle(charges=[], refunds=[(refund, Succeeded(str(refund.pk)))])
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as workers:
            list(workers.map(settle, claiming.claim_refunds(limit=5)))
        said = [event for event in testing.stated(catalogue.PaymentRefunded) if event.key == str(order_id)]
        told = sorted((e.number, e.left_minor == 0) for e in said if isinstance(e, catalogue.PaymentRefunded))
        assert told == [(1, False), (2, True)]


def test_money_that_was_never_taken_does_not_go_back() -> None:
    [order_id] = ask_for("pm_success")
    for never in (order_id, uuid4()):
        with pytest.raises(refunds.NothingTaken, match=str(never)), transaction.atomic():
            refunds.refund_parts(reduced=[reduced(never, 1, 500)])
    assert (going_back(), Charge.objects.get().state) == ([], "requested")


def test_each_return_is_refunded_once() -> None:
    order_id = captured_by_hand()
    hear(returned(order_id, 1, 500), reduced(order_id, 1, 500), returned(order_id, 1, 500))
    hear(returned(order_id, 1, 500), returned(order_id, 2, 1500), offset=10)
    assert sorted(going_back()) == [("reduction 1: damaged", 500), ("return 1: torn", 500), ("return 2: torn", 999)]
    assert Charge.objects.get().refunded_minor == 1999


def test_a_long_reason_is_the_same_reason_the_second_time() -> None:
    order_id = captured_by_hand()
    event = catalogue.OrderReturned(
        order_id=order_id, flow="reserve_first", lines=(), amount_minor=100, number=1, currency="USD", reason="x" * 500
    )
    hear(event)
    hear(event, offset=10)
    assert [amount for _, amount in going_back()] == [100]


def test_many_at_once_give_back_no_more_than_was_taken() -> None:
    """Parts, returns and the whole, by sixteen threads for one charge, and by each of them twice."""
    order_id = captured_by_hand()
    together = threading.Barrier(16)

    def ask(number: int) -> None:
        try:
            together.wait(10)
            for _ in range(2):
                with transaction.atomic():
                    if number % 3 == 0:
                        refunds.refund_parts(reduced=[reduced(order_id, number, 300)])
                    elif number % 3 == 1:
                        refunds.refund_returns(returned=[returned(order_id, number, 300)])
                    else:
                        charges.undo(cancelled=[cancelled(order_id)])
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(ask, range(16)))
    charge = Charge.objects.get()
    amounts = [amount for _, amount in going_back()]
    assert (sum(amounts), charge.refunded_minor, charge.left_minor) == (1999, 1999, 0)
    assert len(set(going_back())) == len(amounts)


def test_the_database_itself_refuses_to_give_back_more_than_was_taken() -> None:
    captured_by_hand()
    with pytest.raises(IntegrityError, match="charge_gives_back_what_it_took"), transaction.atomic():
        Charge.objects.update(refunded_minor=2000)
