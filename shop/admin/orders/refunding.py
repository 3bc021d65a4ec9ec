"""Refunding shipped copies, with or without a return request of the buyer; or declining the request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from unfold.widgets import UnfoldAdminTextareaWidget

import money
from orders import prices
from orders.actions import returns
from orders.models import Order, OrderLine, ReturnRequest, Status
from payments.models import Charge
from shop.admin.orders import quantity_form
from shop.operations import activity_log
from shop.typed import fields


class CopiesForm(quantity_form.QuantityForm):
    """How many copies of each line to refund, and why."""

    none_chosen = "Enter how many copies to refund, for at least one book."

    def __init__(self, *args: Any, lines: list[OrderLine], **kwargs: Any) -> None:
        super().__init__(*args, lines=lines, most=left_of(lines), **kwargs)


class AnswerForm(forms.Form):
    """Why a return is declined."""

    answer = fields.TypedTextField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="The buyer reads it on the order's page and in a mail.",
    )


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What was paid for an order and what can still be refunded, in minor units."""

    paid_minor: int
    back_minor: int
    """What was refunded, or is about to be."""

    @property
    def left_minor(self) -> int:
        """What can still be refunded."""
        return self.paid_minor - self.back_minor


def left_of(lines: list[OrderLine]) -> dict[str, int]:
    """By sku, the copies that were neither cancelled nor refunded."""
    return {line.sku: line.left for line in lines}


def sums_of(charge: Charge | None) -> Sums:
    """What was paid and refunded, by the charge; zero if no money was captured."""
    if charge is None or charge.state != Charge.State.SUCCEEDED:
        return Sums(paid_minor=0, back_minor=0)
    return Sums(paid_minor=charge.amount_minor, back_minor=charge.refunded_minor)


def obstacle(order: Order, lines: list[OrderLine]) -> str:
    """Why no copies of this order can be refunded now, or "" if they can."""
    if order.status in (Status.PENDING, Status.PAID):
        return "It has not been shipped yet; cancel it, or some of its copies, instead."
    if order.status == Status.CANCELLED:
        return "It is cancelled; it is refunded in full automatically."
    if not any(left_of(lines).values()):
        return "All of its copies have been refunded already."
    return ""


def open_request_of(order_id: UUID) -> ReturnRequest | None:
    """The buyer's open return request or withdrawal, if there is one."""
    return ReturnRequest.objects.filter(order=order_id, state__in=ReturnRequest.OPEN).first()


def initial(lines: list[OrderLine], return_request: ReturnRequest | None, *, everything: bool) -> dict[str, Any]:
    """Initial values of the form: everything that is left, or what the buyer asked to return."""
    left = left_of(lines)
    wanted = left if everything else {sku: int(n) for sku, n in return_request.units.items()} if return_request else {}
    found = {quantity_form.field_of(sku): min(n, left.get(sku, 0)) or None for sku, n in wanted.items()}
    return {**found, "reason": return_request.reason[: quantity_form.REASON_LENGTH] if return_request else ""}


def pay_back(
    *, order_id: UUID, units: Mapping[str, int], reason: str, user: AbstractBaseUser, request_id: int | None
) -> str:
    """Refund these copies and record it; returns a message about it.

    Raises:
        orders.actions.returns.CannotReturn: see there; nothing was changed.
    """
    with transaction.atomic():
        Order.objects.locked([order_id])
        before = _state(order_id)
        order = returns.accept_return(
            order_id=order_id, units=units, reason=reason, by=user.get_username(), request_id=request_id
        )
        after = _state(order_id)
        what = quantity_form.counted(sum(units.values()))
        LogEntry.objects.log_actions(user.pk, [order], CHANGE, f"Paid back {what}: {reason}")
        activity_log.record(
            user=user,
            what="return accepted" if request_id else "copies paid back",
            subject=order.reference,
            order_id=order_id,
            reason=reason,
            before=before,
            after=after,
        )
    amount = money.format_amount(after["money_paid_back_minor"] - before["money_paid_back_minor"], order.currency)
    return f"{what} of {order.reference} refunded; the buyer gets {amount} back."


def decline(*, request_id: int, answer: str, user: AbstractBaseUser) -> str:
    """Decline the return request and record it; returns a message about it.

    Raises:
        orders.actions.returns.CannotReturn: it was answered before; nothing was changed.
    """
    with transaction.atomic():
        returns.decline_return(request_id=request_id, answer=answer, by=user.get_username())
        return_request = ReturnRequest.objects.select_related("order").get(pk=request_id)
        LogEntry.objects.log_actions(user.pk, [return_request.order], CHANGE, f"Declined the return: {answer}")
        activity_log.record(
            user=user,
            what="return declined",
            subject=return_request.order.reference,
            order_id=return_request.order_id,
            reason=answer,
            before={"return": ReturnRequest.State.ASKED.label, "copies": return_request.units},
            after={"return": return_request.get_state_display(), "copies": return_request.units},
        )
    return f"The return request for {return_request.order.reference} was declined. The buyer gets an email."


def _state(order_id: UUID) -> dict[str, Any]:
    """What a refund changes: the copies refunded, by sku, and what they cost."""
    order = Order.objects.get(pk=order_id)
    lines = list(OrderLine.objects.filter(order=order_id).order_by("id"))
    return {
        "copies paid back": {line.sku: line.returned for line in lines},
        "money_paid_back_minor": prices.money_back(order, lines)[1],
    }
