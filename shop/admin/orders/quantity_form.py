"""A form for a number of copies of each order line, with a reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from orders.models import OrderLine
from shop.typed import fields

REASON_LENGTH = 80


class QuantityForm(forms.Form):
    """How many copies of each line, and why; `cleaned_data` has the copies by sku as `units`."""

    none_chosen = "Enter a number of copies for at least one book."

    def __init__(self, *args: Any, lines: Sequence[OrderLine], most: Mapping[str, int], **kwargs: Any) -> None:
        """Ask for 0 to `most[sku]` copies of each line; lines with a maximum of 0 are left out."""
        super().__init__(*args, **kwargs)
        self._lines = [line for line in lines if most.get(line.sku)]
        for line in self._lines:
            self.fields[field_of(line.sku)] = forms.IntegerField(
                label=line.title,
                required=False,
                min_value=0,
                max_value=most[line.sku],
                widget=UnfoldAdminIntegerFieldWidget,
                help_text=f"0 to {most[line.sku]}",
            )
        self.fields["reason"] = fields.TypedTextField(
            max_length=REASON_LENGTH, widget=UnfoldAdminTextInputWidget, help_text="The buyer reads it in a mail."
        )

    def clean(self) -> dict[str, Any]:
        """At least one copy."""
        cleaned: dict[str, Any] = super().clean() or {}
        units = {line.sku: cleaned[name] for line in self._lines if cleaned.get(name := field_of(line.sku))}
        if not units and not self.errors:
            raise forms.ValidationError(self.none_chosen)
        return {**cleaned, "units": units}


def field_of(sku: str) -> str:
    """The name of the form's field for this book."""
    return f"copies_{sku}"


def counted(copies: int) -> str:
    """The number of copies, in words."""
    return f"{copies} {'copy' if copies == 1 else 'copies'}"
