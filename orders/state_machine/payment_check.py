"""Whether a payment.confirmed is to be believed: a topic is no proof that money came in, payments' own books are."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

import money
from events import catalogue
from orders.models import Order, OrderLine

Captured = tuple[UUID, int, str]
"""The charge of an order whose money is in: its id, minor units, currency."""


def refusals(facts: Sequence[catalogue.PaymentConfirmed], orders: Mapping[UUID, Order]) -> list[str]:
    """For each of these facts why it is not believed, or "" where payments and the order itself agree with it.

    An order came to the sum of its lines and its shipping when it was placed; units that were cancelled since then
    were paid for too. `orders` has all of them.
    """
    order_ids = [fact.order_id for fact in facts]
    captured, placed = _captured(order_ids), _placed_minor(orders, order_ids)
    return [
        _refusal(fact, captured.get(fact.order_id), (placed[fact.order_id], orders[fact.order_id].currency))
        for fact in facts
    ]


def _refusal(fact: catalogue.PaymentConfirmed, captured: Captured | None, asked: tuple[int, str]) -> str:
    stated = (fact.amount_minor, fact.currency)
    if stated != asked:
        return f"{money.format_plain(*stated)} were stated, and the order came to {money.format_plain(*asked)}"
    if captured is None:
        return "payments knows of no money that was taken for this order"
    charge_id, taken = captured[0], captured[1:]
    if charge_id != fact.charge_id:
        return f"charge {fact.charge_id} was stated, and the order's is {charge_id}"
    if stated != taken:
        return f"{money.format_plain(*stated)} were stated, and {money.format_plain(*taken)} were taken"
    return ""


def _captured(order_ids: Sequence[UUID]) -> Mapping[UUID, Captured]:
    """Ask payments, which orders may not import; `settings.ORDERS_PAYMENT_CHECK` names whom to ask."""
    check: Callable[[Sequence[UUID]], Mapping[UUID, Captured]] = import_string(settings.ORDERS_PAYMENT_CHECK)
    return check(order_ids)


def _placed_minor(orders: Mapping[UUID, Order], order_ids: Sequence[UUID]) -> dict[UUID, int]:
    found = {order_id: orders[order_id].shipping_minor for order_id in order_ids}
    lines = OrderLine.objects.filter(order__in=order_ids).order_by()
    for line in lines.only("order_id", "unit_price_minor", "quantity", "amount_minor"):
        found[line.order_id] += line.paid_minor
    return found
