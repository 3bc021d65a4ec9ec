"""Reading charges."""

from collections.abc import Iterable
from uuid import UUID

from payments.models import Charge


def paid_orders(order_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the orders whose money we have taken, by our own books."""
    taken = Charge.objects.filter(order_id__in=list(order_ids), state=Charge.State.SUCCEEDED)
    return set(taken.values_list("order_id", flat=True))


def captured(order_ids: Iterable[UUID]) -> dict[UUID, tuple[UUID, int, str]]:
    """By order, the charge whose money we have taken by our own books: its id, minor units, currency."""
    taken = Charge.objects.filter(order_id__in=list(order_ids), state=Charge.State.SUCCEEDED)
    rows = taken.values_list("order_id", "pk", "amount_minor", "currency")
    return {order_id: (charge_id, amount_minor, currency) for order_id, charge_id, amount_minor, currency in rows}
