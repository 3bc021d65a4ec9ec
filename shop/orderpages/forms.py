"""The forms about orders: for a return, for a withdrawal, and to find an order again."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from shop.typed import emails, fields


class CopiesForm(forms.Form):
    """How many copies of which books."""

    none_chosen: ClassVar[str]
    takes_all: ClassVar[bool] = False
    """Whether all copies are filled in at first."""

    def __init__(self, *args: Any, left: Mapping[str, int], **kwargs: Any) -> None:
        """`left` are the copies, by sku, that can be chosen."""
        super().__init__(*args, **kwargs)
        self._skus = [sku for sku, most in left.items() if most]
        for sku in self._skus:
            error = f"Enter a whole number from 0 to {left[sku]}."
            self.fields[f"copies-{sku}"] = forms.IntegerField(
                min_value=0,
                max_value=left[sku],
                required=False,
                initial=left[sku] if self.takes_all else 1 if sum(left.values()) == 1 else 0,
                error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), error),
            )

    def clean(self) -> dict[str, Any]:
        """Gather the copies under `units`; at least one has to be chosen."""
        cleaned = super().clean() or {}
        units = {sku: cleaned.get(f"copies-{sku}") or 0 for sku in self._skus}
        if not any(units.values()) and not any(f"copies-{sku}" in self.errors for sku in self._skus):
            raise ValidationError(self.none_chosen)
        return {**cleaned, "units": {sku: number for sku, number in units.items() if number}}

    def copies(self) -> dict[str, forms.BoundField]:
        """The number fields by sku, for the page."""
        return {sku: self[f"copies-{sku}"] for sku in self._skus}


class ReturnForm(CopiesForm):
    """Which copies to return, and why."""

    none_chosen = "Enter how many copies you want to return, for at least one book."
    reason = fields.TypedTextField(
        label="Why do you want to return them?",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": "Please tell us why."},
    )


class WithdrawalForm(CopiesForm):
    """Which copies to withdraw from; all of them unless the buyer says otherwise."""

    none_chosen = "Enter how many copies you want to withdraw from, for at least one book."
    takes_all = True


class OrderLookUpForm(forms.Form):
    """What stands in an order's mails: its reference, and the address that they went to."""

    reference = fields.TypedTextField(
        label="Order number",
        max_length=30,
        help_text="It stands in all of our mails about the order, such as BR-7K2M9-QXD4W.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
        error_messages={"required": "Enter the number of the order."},
    )
    email = fields.AddressField(
        label="Email",
        help_text="The one that you ordered with.",
        widget=forms.EmailInput(attrs={"autocomplete": "email", "maxlength": emails.LENGTH_MAX}),
        error_messages={"required": "Enter the mail address that you ordered with."},
    )

    def clean_reference(self) -> str:
        """As references are written, whichever way it was typed."""
        return "".join(self.cleaned_data["reference"].split()).upper()
