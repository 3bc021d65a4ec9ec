"""The form of a cart line."""

from typing import Any

from django import forms

from orders.placing.placement import QUANTITY_MAX

QUANTITY_ERROR = f"The quantity must be a whole number from 1 to {QUANTITY_MAX}."


class QuantityField(forms.IntegerField):
    """1 to 20 copies."""

    def __init__(self, **kwargs: Any) -> None:
        messages = dict.fromkeys(("required", "invalid", "min_value", "max_value"), QUANTITY_ERROR)
        super().__init__(min_value=1, max_value=QUANTITY_MAX, error_messages=messages, **kwargs)

    def to_python(self, value: Any) -> int | None:
        """As a person writes numbers; Python's own way also takes 1_0 for ten."""
        if "_" in str(value):
            raise forms.ValidationError(QUANTITY_ERROR, code="invalid")
        return super().to_python(value)


class CartForm(forms.Form):
    """A book and a quantity."""

    sku = forms.RegexField(r"\A[0-9]{13}\Z", error_messages={"invalid": "This is not a valid ISBN."})
    quantity = QuantityField()
