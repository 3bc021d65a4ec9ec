"""Reading charges."""

from collections.abc import Iterable
from uuid import UUID

from payments.models import Charge


def paid_orders(order_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the orders whose money we have taken, by our own books."""
    taken = Charge.objects.filter(order_id__in=list(order_ids), state=Charge.State.SUCCEEDED)
    return set(taken.values_list("order_id", flat=True))
