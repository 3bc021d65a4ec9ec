"""A buyer declares a withdrawal; and which orders a visitor without their link has named."""

from collections.abc import Mapping
from uuid import UUID

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from orders.actions import withdrawal
from orders.models import Order, Withdrawal
from shop.operations import activity_log
from shop.orderpages.after_sales import Visitor

_NAMED, _NAMED_MOST = "withdraws_from", 5


def declare(*, order_id: UUID, units: Mapping[str, int], user: Visitor) -> Withdrawal:
    """Withdraw from these copies, by sku, and record it; the receipt is on its way.

    Raises:
        orders.actions.withdrawal.CannotWithdraw: see there; nothing was changed.
    """
    with transaction.atomic():
        before = Order.objects.locked([order_id])[order_id].status
        done = withdrawal.withdraw(order_id=order_id, units=units)
        order = Order.objects.get(pk=order_id)
        activity_log.record(
            user=user,
            what="withdrawal declared",
            subject=order,
            order_id=order_id,
            before={"status": before},
            after={"status": order.status, "copies": done.units},
        )
    return done


def look_up(*, reference: str, email: str) -> Order | None:
    """The order with this reference, if it was ordered with this address."""
    return Order.objects.filter(reference=reference, email__iexact=email).first()


def let_in(session: SessionBase, order_id: UUID) -> None:
    """Remember that this visitor knows reference and address of the order: enough to withdraw, and for no more."""
    others = [other for other in session.get(_NAMED, []) if other != str(order_id)]
    session[_NAMED] = [str(order_id), *others][:_NAMED_MOST]


def is_let_in(session: SessionBase, order_id: UUID) -> bool:
    """Whether this visitor has named the order."""
    return str(order_id) in session.get(_NAMED, [])
