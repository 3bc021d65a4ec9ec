"""Cancelling some copies of an order: the form, and carrying it out."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

import money
from orders.actions import cancellation
from orders.models import Order, OrderLine, Status
from shop.admin.orders import quantity_form
from shop.operations import activity_log


class CopiesForm(quantity_form.QuantityForm):
    """How many copies of each line to cancel, and why."""

    none_chosen = "Enter how many copies to cancel, for at least one book."

    def __init__(self, *args: Any, lines: list[OrderLine], **kwargs: Any) -> None:
        super().__init__(*args, lines=lines, most={line.sku: line.kept for line in lines}, **kwargs)


def obstacle(order: Order, lines: list[OrderLine]) -> str:
    """Why no copies of this order can be cancelled now, or "" if they can."""
    if order.status == Status.PENDING or (order.status == Status.PAID and not order.is_confirmed):
        return "It is not confirmed yet."
    if order.status != Status.PAID:
        return f"It is {Status(order.status).label.lower()} already."
    if sum(line.kept for line in lines) == 1:
        return "It has one copy left; cancel the whole order instead."
    return ""


def carry_out(*, order_id: UUID, units: Mapping[str, int], reason: str, user: AbstractBaseUser) -> str:
    """Cancel these copies and record it; returns a message about it.

    Raises:
        orders.actions.cancellation.CannotCancel: see there; nothing was changed.
    """
    with transaction.atomic():
        Order.objects.locked([order_id])
        before = _state(order_id)
        order = cancellation.cancel_lines(order_id=order_id, units=units, reason=reason, by=user.get_username())
        what = quantity_form.counted(sum(units.values()))
        LogEntry.objects.log_actions(user.pk, [order], CHANGE, f"Cancelled {what}: {reason}")
        activity_log.record(
            user=user,
            what="copies cancelled",
            subject=order,
            order_id=order_id,
            reason=reason,
            before=before,
            after=_state(order_id),
        )
    amount = money.format_amount(before["total_minor"] - order.total_minor, order.currency)
    return f"{what} of {order} cancelled; {amount} will be refunded."


def _state(order_id: UUID) -> dict[str, Any]:
    """What a reduction changes: the copies that are kept, by sku, and what they cost."""
    lines = OrderLine.objects.filter(order=order_id).order_by("id")
    total_minor = Order.objects.values_list("total_minor", flat=True).get(pk=order_id)
    return {"copies": {line.sku: line.kept for line in lines}, "total_minor": total_minor}
