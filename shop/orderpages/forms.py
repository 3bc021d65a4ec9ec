"""The forms about orders: for a return, and to find an order again."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from shop.typed import fields


class ReturnForm(forms.Form):
    """Which copies to return, and why."""

    reason = fields.TypedTextField(
        label="Why do you want to return them?",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": "Please tell us why."},
    )

    def __init__(self, *args: Any, left: Mapping[str, int], **kwargs: Any) -> None:
        """`left` are the copies, by sku, that can be sent back."""
        super().__init__(*args, **kwargs)
        self._skus = [sku for sku, most in left.items() if most]
        for sku in self._skus:
            error = f"Enter a whole number from 0 to {left[sku]}."
            self.fields[f"copies-{sku}"] = forms.IntegerField(
                min_value=0,
                max_value=left[sku],
                required=False,
                initial=1 if sum(left.values()) == 1 else 0,
                error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), error),
            )

    def clean(self) -> dict[str, Any]:
        """Gather the copies under `units`; at least one has to be chosen."""
        cleaned = super().clean() or {}
        units = {sku: cleaned.get(f"copies-{sku}") or 0 for sku in self._skus}
        if not any(units.values()) and not any(f"copies-{sku}" in self.errors for sku in self._skus):
            raise ValidationError("Enter how many copies you want to return, for at least one book.")
        return {**cleaned, "units": {sku: number for sku, number in units.items() if number}}

    def copies(self) -> dict[str, forms.BoundField]:
        """The number fields by sku, for the page."""
        return {sku: self[f"copies-{sku}"] for sku in self._skus}


class FindOrderForm(forms.Form):
    """What stands on an order's mails: its reference, and the address that they went to."""

    reference = fields.TypedTextField(
        label="Order number",
        max_length=16,
        help_text="It stands in our mails and on the parcel, such as BR-7K2M9-QXD4W.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    email = fields.AddressField(
        label="Email",
        help_text="The one that you ordered with.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def clean_reference(self) -> str:
        """As references are written, whichever way it was typed."""
        return str(self.cleaned_data["reference"]).upper().replace(" ", "")
