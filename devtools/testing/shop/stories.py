"""What stories of orders share: ways of delivering messages, stock, playing everything to its end, balanced books."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from devtools.testing.payments.worker_runs import make_due
from inventory import stock_adjustments
from inventory.models import Stock
from kafka_bridge import testing
from orders import prices
from orders.models import Order
from payments import gateways
from payments.gateways import PaymentStatus
from payments.models import Charge
from payments.sandbox.bank import Bank

OTHER = "9780000000026"


def deliveries(seeds: int) -> list[Any]:
    """Ways of delivering, for a fixture: straight and permuted with duplicates decide; the others are for proof."""
    permuted = [{"duplicates": True, "seed": seed} for seed in range(1, 1 + seeds)]
    ways: list[dict[str, Any]] = [{}, permuted[0], {"duplicates": True}, *permuted[1:]]
    return [
        pytest.param(
            way,
            id="-".join(f"{name}={value}" for name, value in way.items()) or "straight",
            marks=_mark(number),
        )
        for number, way in enumerate(ways)
    ]


def _mark(number: int) -> Any:
    """Two ways decide, two more prove, the rest prove at length."""
    if number < 2:
        return ()
    return pytest.mark.prove if number < 4 else pytest.mark.prove(long=True)


def stock(**units: int) -> None:
    """So many units arrive."""
    with transaction.atomic():
        stock_adjustments.receive(quantities={sku.removeprefix("s"): n for sku, n in units.items()}, reason="test")


def counts(sku: str) -> tuple[int, int, int]:
    """Received, held, sold."""
    row = Stock.objects.get(sku=sku)
    return row.received, row.held, row.sold


def the_bank() -> Bank:
    """The sandbox's own books."""
    return gateways.current().gateway.bank  # type: ignore[attr-defined,no-any-return]


def to_the_end(broker: testing.MemoryBroker, *, buyer: Callable[[], object] = lambda: None, rounds: int = 20) -> None:
    """Everything that can happen, with all pauses of payments over at once; `buyer` acts whenever it is quiet.

    Raises:
        TimeoutError: something still waits for the bank after so many rounds.
    """
    for _ in range(rounds):
        broker.drain()
        buyer()
        if not make_due():
            return
    raise TimeoutError(f"after {rounds} rounds something still waits for the bank")


def books_balance() -> bool:
    """What the bank has kept is what kept orders came to, without what came back; each was captured once.

    Nothing is still set aside on anybody's card, and the bank knows of no payment that is not ours.
    """
    payments = the_bank().statement()
    kept = sum(payment.captured_minor - payment.refunded_minor for payment in payments)
    orders_kept = Order.objects.filter(status__in=("PAID", "SHIPPED", "DELIVERED"))
    came_to = sum(
        prices.placed_minor(order, order.lines.all()) - sum(prices.money_back(order, list(order.lines.all())))
        for order in orders_kept.prefetch_related("lines")
    )
    charges = {str(pk): order_id for pk, order_id in Charge.objects.values_list("pk", "order_id")}
    done = [entry for entry in the_bank().entries() if entry.kind == "capture" and not entry.declined]
    return (
        kept == came_to
        and not any(payment.standing in (PaymentStatus.ACTION, PaymentStatus.AUTHORIZED) for payment in payments)
        and {payment.key for payment in payments} <= set(charges)
        and len(done) == len({entry.transaction_id for entry in done})
    )
