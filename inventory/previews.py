"""What inventory would make of an event now, in a sentence: for people who decide about dead letters."""

from collections.abc import Iterable
from typing import Any

from events import catalogue
from inventory import models
from inventory.handlers import group, paid_orders
from inventory.models import Reservation, Stock
from kafka_bridge.consuming import registry

State = Reservation.State


def preview_created(event: catalogue.OrderCreated) -> str:
    """Whether the stock of a new order is decided already, and else whether all of it is free."""
    return _decided(event) or _hold(event, "hold")


def preview_paid(event: catalogue.PaymentConfirmed) -> str:
    """Whether payments knows of the money, and what that would do to the order's stock."""
    if event.order_id not in paid_orders([event.order_id]):
        raise registry.WouldFail("payments knows of no captured money for this order")
    if event.flow == catalogue.PAYMENT_FIRST:
        return _decided(event) or _hold(event, "sell")
    state = _state_of(event)
    return "would turn the hold into a sale" if state == State.HELD else f"{_words(state)}: would change nothing"


def preview_reduced(event: catalogue.OrderReduced) -> str:
    """Whether the order has copies that could be given back."""
    return _giving_back(event, "would put the cancelled copies back, unless that was done")


def preview_cancelled(event: catalogue.OrderCancelled) -> str:
    """Whether the order has copies that could be given back."""
    return _giving_back(event, "would put all copies back")


def preview_waiting(event: catalogue.PaymentActionRequired) -> str:
    """Whether the order has a hold that could wait for the buyer's bank."""
    state = _state_of(event)
    return "would count its hold as one that waits" if state == State.HELD else f"{_words(state)}: would change nothing"


def _giving_back(event: catalogue.OrderReduced | catalogue.OrderCancelled, would: str) -> str:
    state = _state_of(event)
    return would if state in (State.HELD, State.SOLD) else f"{_words(state)}: would free nothing"


def _decided(event: Any) -> str:
    state = _state_of(event)
    return f"{_words(state)}: would change nothing" if state else ""


def _hold(event: catalogue.OrderCreated | catalogue.PaymentConfirmed, verb: str) -> str:
    wanted = {models.pool_name(line.sku, line.sale_id): line.quantity for line in event.lines}
    free = {stock.bin: stock.free for stock in Stock.objects.filter(pk__in=wanted)}
    missing = [pool for pool, units in wanted.items() if free.get(pool, 0) < units]
    if missing:
        return f"would be refused: not enough of {', '.join(missing)} is free"
    return f"would {verb} {_copies(wanted.items())}"


def _copies(units: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{number} x {pool}" for pool, number in units)


def _state_of(event: Any) -> str:
    return Reservation.objects.filter(pk=event.order_id).values_list("state", flat=True).first() or ""


def _words(state: str) -> str:
    return f"the order's stock is {State(state).label.lower()}" if state else "inventory has nothing of this order"


group.preview[catalogue.OrderCreated] = preview_created
group.preview[catalogue.PaymentConfirmed] = preview_paid
group.preview[catalogue.OrderReduced] = preview_reduced
group.preview[catalogue.OrderCancelled] = preview_cancelled
group.preview[catalogue.PaymentActionRequired] = preview_waiting
