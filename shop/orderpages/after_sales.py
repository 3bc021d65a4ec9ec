"""What buyers can do with a placed order: cancel it, or ask for a return. Both are recorded in the activity log."""

from collections.abc import Mapping
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from orders.actions import cancellation, returns
from orders.cancel_reasons import BY_BUYER
from orders.models import Order, ReturnRequest
from shop.operations import activity_log

Visitor = AbstractBaseUser | AnonymousUser
BUYER = "the buyer"
_AT_BANK, _AT_BANK_MOST = "at_bank", 10


def cancel(*, order_id: UUID, user: Visitor) -> Order:
    """Cancel the order for its buyer; what was paid is refunded.

    Raises:
        orders.actions.cancellation.CannotCancel: it has left, or is cancelled already.
    """
    with transaction.atomic():
        before = Order.objects.locked([order_id])[order_id].status
        order = cancellation.cancel(order_id=order_id, reason=BY_BUYER, by=BUYER)
        activity_log.record(
            user=user,
            what="order cancelled",
            subject=order,
            order_id=order_id,
            reason=str(BY_BUYER),
            before={"status": before},
            after={"status": order.status},
        )
    return order


def ask_return(*, order_id: UUID, units: Mapping[str, int], reason: str, user: Visitor) -> ReturnRequest:
    """Ask staff to take back these copies, by sku.

    Raises:
        orders.actions.returns.CannotReturn: it has not been shipped or has fewer copies, or another return is open.
    """
    with transaction.atomic():
        return_request = returns.ask_return(order_id=order_id, units=units, reason=reason)
        activity_log.record(
            user=user,
            what="return asked for",
            subject=return_request.order,
            order_id=order_id,
            reason=reason,
            before={},
            after={"return": return_request.get_state_display(), "copies": return_request.units},
        )
    return return_request


# -- On the way to the bank and back ------------------------------------------------------------------
def go_to_bank(session: SessionBase, order_id: UUID) -> None:
    """Remember that this visitor, who may see the order, goes to the bank to confirm its payment.

    The bank sends buyers back to the order's plain URL, without the key of a guest's link.
    """
    others = [other for other in session.get(_AT_BANK, []) if other != str(order_id)]
    session[_AT_BANK] = [str(order_id), *others][:_AT_BANK_MOST]


def went_to_bank(session: SessionBase, order_id: UUID) -> bool:
    """Whether this visitor went to the bank for this order."""
    return str(order_id) in session.get(_AT_BANK, [])
