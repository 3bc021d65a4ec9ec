"""What buyers may still do with an order: cancel it, or ask to send copies back. Each is noted in the audit log."""

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
    """The buyer cancels an order; whatever was taken for it goes back.

    Raises:
        orders.actions.cancellation.CannotCancel: it has left, or is cancelled already.
    """
    with transaction.atomic(durable=True):
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
    """The buyer asks to send copies, by sku, back.

    Raises:
        orders.actions.returns.CannotReturn: it has not left, it has not so many copies, or another return is open.
    """
    with transaction.atomic(durable=True):
        wish = returns.ask_return(order_id=order_id, units=units, reason=reason)
        activity_log.record(
            user=user,
            what="return asked for",
            subject=wish.order,
            order_id=order_id,
            reason=reason,
            before={},
            after={"return": wish.get_state_display(), "copies": wish.units},
        )
    return wish


# -- On the way to the bank and back ------------------------------------------------------------------
def go_to_bank(session: SessionBase, order_id: UUID) -> None:
    """Note that this visitor, who may see the order, goes to the bank's page to confirm its payment.

    The bank sends them back to the order's plain address, without the key that a guest's link has.
    """
    others = [other for other in session.get(_AT_BANK, []) if other != str(order_id)]
    session[_AT_BANK] = [str(order_id), *others][:_AT_BANK_MOST]


def went_to_bank(session: SessionBase, order_id: UUID) -> bool:
    """Whether this visitor went to the bank for this order."""
    return str(order_id) in session.get(_AT_BANK, [])
