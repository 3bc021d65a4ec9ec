"""Cancelling some copies of an order by hand: the form, and what it leads to."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from orders import services
from orders.models import Order, OrderLine, Status
from shop import money


class CopiesForm(forms.Form):
    """How many copies of each line are to be cancelled, and why."""

    def __init__(self, *args: Any, lines: list[OrderLine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lines = [line for line in lines if line.kept]
        for line in self._lines:
            self.fields[_field(line)] = forms.IntegerField(
                label=line.title,
                required=False,
                min_value=0,
                max_value=line.kept,
                widget=UnfoldAdminIntegerFieldWidget,
                help_text=f"0 to {line.kept}",
            )
        self.fields["reason"] = forms.CharField(
            max_length=80, widget=UnfoldAdminTextInputWidget, help_text="The buyer reads it in a mail."
        )

    def clean(self) -> dict[str, Any]:
        """At least one copy; the copies by sku are `units` then."""
        cleaned: dict[str, Any] = super().clean() or {}
        units = {line.sku: cleaned[name] for line in self._lines if cleaned.get(name := _field(line))}
        if not units and not self.errors:
            raise forms.ValidationError("Say of which book how many copies are to be cancelled.")
        return {**cleaned, "units": units}


def obstacle(order: Order, lines: list[OrderLine]) -> str:
    """What stands in the way of cancelling some copies of this order, or "" if nothing does."""
    if order.status == Status.PENDING or (order.status == Status.PAID and not order.is_confirmed):
        return "It is not confirmed yet."
    if order.status != Status.PAID:
        return f"It is {Status(order.status).label.lower()} already."
    if sum(line.kept for line in lines) == 1:
        return "It has one copy left; cancel the whole order instead."
    return ""


def carry_out(*, order_id: UUID, units: Mapping[str, int], reason: str, user: AbstractBaseUser) -> str:
    """Cancel these copies and note it in the history; returns a sentence about it.

    Raises:
        orders.services.CannotCancel: see there; nothing was changed.
    """
    with transaction.atomic(durable=True):
        before = Order.objects.values_list("total_minor", flat=True).get(pk=order_id)
        order = services.cancel_lines(order_id=order_id, units=units, reason=reason, by=user.get_username())
        copies = sum(units.values())
        what = f"{copies} {'copy' if copies == 1 else 'copies'}"
        LogEntry.objects.log_actions(user.pk, [order], CHANGE, f"Cancelled {what}: {reason}")
    amount = money.in_words(before - order.total_minor, order.currency)
    return f"{what} of {order} cancelled; {amount} go back."


def _field(line: OrderLine) -> str:
    return f"copies_{line.sku}"
