"""Paying copies back by hand after they have left, with or without a wish of the buyer; or declining the wish."""

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
from orders.actions import returns
from orders.models import Order, OrderLine, ReturnRequest, Status
from payments.models import Charge
from shop.admin.orders import quantity_form
from shop.operations import activity_log


class CopiesForm(quantity_form.QuantityForm):
    """How many copies of each line are to be paid back, and why."""

    none_chosen = "Say of which book how many copies are to be paid back."

    def __init__(self, *args: Any, lines: list[OrderLine], **kwargs: Any) -> None:
        super().__init__(*args, lines=lines, most=left_of(lines), **kwargs)


class AnswerForm(forms.Form):
    """Why a return is declined."""

    answer = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="The buyer reads it on the order's page and in a mail.",
    )


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What was paid for an order and what of it is left, in minor units."""

    paid_minor: int
    back_minor: int
    """What went back, or is on its way."""

    @property
    def left_minor(self) -> int:
        """What can still go back."""
        return self.paid_minor - self.back_minor


def left_of(lines: list[OrderLine]) -> dict[str, int]:
    """By sku, the copies that were neither cancelled nor paid back."""
    return {line.sku: line.kept - line.returned for line in lines}


def sums_of(charge: Charge | None) -> Sums:
    """What was paid and what of it went back, by the charge; nothing where none was taken."""
    if charge is None or charge.state != Charge.State.SUCCEEDED:
        return Sums(paid_minor=0, back_minor=0)
    return Sums(paid_minor=charge.amount_minor, back_minor=charge.refunded_minor)


def obstacle(order: Order, lines: list[OrderLine]) -> str:
    """What stands in the way of paying copies of this order back, or "" if nothing does."""
    if order.status in (Status.PENDING, Status.PAID):
        return "It has not been shipped yet; cancel it, or some of its copies, instead."
    if order.status == Status.CANCELLED:
        return "It is cancelled; all of its money goes back by itself."
    if not any(left_of(lines).values()):
        return "All of its copies were paid back already."
    return ""


def wish_of(order_id: UUID) -> ReturnRequest | None:
    """What the buyer asks for at the moment."""
    return ReturnRequest.objects.filter(order=order_id, state=ReturnRequest.State.ASKED).first()


def initial(lines: list[OrderLine], wish: ReturnRequest | None, *, everything: bool) -> dict[str, Any]:
    """What the form begins with: all that is left, or what the buyer asks for, as far as it is left."""
    left = left_of(lines)
    wanted = left if everything else {sku: int(n) for sku, n in wish.units.items()} if wish else {}
    found = {quantity_form.field_of(sku): min(n, left.get(sku, 0)) or None for sku, n in wanted.items()}
    return {**found, "reason": wish.reason[: quantity_form.REASON_LENGTH] if wish else ""}


def amount_of(lines: list[OrderLine], units: Mapping[str, int]) -> int:
    """What these copies cost, in minor units."""
    return sum(line.unit_price_minor * units.get(line.sku, 0) for line in lines)


def pay_back(
    *, order_id: UUID, units: Mapping[str, int], reason: str, user: AbstractBaseUser, request_id: int | None
) -> str:
    """Pay these copies back and note it in the history; returns a sentence about it.

    Raises:
        orders.actions.returns.CannotReturn: see there; nothing was changed.
    """
    with transaction.atomic(durable=True):
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
    return f"{what} of {order.reference} paid back; {amount} go back to the buyer."


def decline(*, request_id: int, answer: str, user: AbstractBaseUser) -> str:
    """Decline what the buyer asks for and note it in the history; returns a sentence about it.

    Raises:
        orders.actions.returns.CannotReturn: it was answered before; nothing was changed.
    """
    with transaction.atomic(durable=True):
        returns.decline_return(request_id=request_id, answer=answer, by=user.get_username())
        wish = ReturnRequest.objects.select_related("order").get(pk=request_id)
        LogEntry.objects.log_actions(user.pk, [wish.order], CHANGE, f"Declined the return: {answer}")
        activity_log.record(
            user=user,
            what="return declined",
            subject=wish.order.reference,
            order_id=wish.order_id,
            reason=answer,
            before={"return": ReturnRequest.State.ASKED.label, "copies": wish.units},
            after={"return": wish.get_state_display(), "copies": wish.units},
        )
    return f"The return of {wish.order.reference} is declined; the buyer gets a mail."


def _state(order_id: UUID) -> dict[str, Any]:
    """What a return changes: the copies that were paid back, by sku, and what they cost."""
    lines = list(OrderLine.objects.filter(order=order_id).order_by("id"))
    return {
        "copies paid back": {line.sku: line.returned for line in lines},
        "money_paid_back_minor": sum(line.returned_minor for line in lines),
    }
