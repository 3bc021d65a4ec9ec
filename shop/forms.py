"""What buyers type in, and what is said when it cannot be right."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from orders.placing.placement import LINES_MAX, QUANTITY_MAX
from shop import countries, ordering, paying

QUANTITY_ERROR = f"The quantity must be a whole number from 1 to {QUANTITY_MAX}."


class QuantityField(forms.IntegerField):
    """1 to 20 copies."""

    def __init__(self, **kwargs: Any) -> None:
        messages = dict.fromkeys(("required", "invalid", "min_value", "max_value"), QUANTITY_ERROR)
        super().__init__(min_value=1, max_value=QUANTITY_MAX, error_messages=messages, **kwargs)


class CartForm(forms.Form):
    """One book and how many of it."""

    sku = forms.RegexField(r"\A[0-9]{13}\Z", error_messages={"invalid": "That is not an ISBN."})
    quantity = QuantityField()


class LinesField(forms.Field):
    """The books of a checkout form as hidden fields `isbn:quantity:price seen`; cleans to a list of WantedLine.

    They are in the form, not taken from the cart, so that sending the same form twice asks for the same order. The
    price is only what the buyer was shown: it is compared with the real one, never charged.
    """

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Sequence[str] | None) -> list[ordering.WantedLine]:
        """Read the lines; a line that the shop's own page cannot have made is refused."""
        lines = [self._line(text) for text in value or ()]
        if len({line.sku for line in lines}) < len(lines):
            raise ValidationError("Each book may stand on one line only.")
        if len(lines) > LINES_MAX:
            raise ValidationError(f"An order can have {LINES_MAX} different books at the most.")
        return lines

    def _line(self, text: str) -> ordering.WantedLine:
        sku, _, rest = text.partition(":")
        quantity, _, price = rest.partition(":")
        if not re.fullmatch(r"[0-9]{13}", sku, re.ASCII):
            raise ValidationError("One of the books has no valid ISBN. Please go back to your cart.")
        if not re.fullmatch(r"[0-9]{1,2}", quantity, re.ASCII) or not 1 <= int(quantity) <= QUANTITY_MAX:
            raise ValidationError(QUANTITY_ERROR)
        if not re.fullmatch(r"[0-9]{1,9}", price, re.ASCII):
            raise ValidationError("One of the books has no valid price. Please go back to your cart.")
        return ordering.WantedLine(sku=sku, quantity=int(quantity), expected_price_minor=int(price))


class PaymentMethodField(forms.CharField):
    """The token of a card: one of the sandbox's, or what Stripe's form made of the card that was entered."""

    def clean(self, value: str | None) -> str:
        """Refuse what is no token, in words that fit the form which is shown."""
        token = str(self.to_python(value) or "")
        if not paying.accepts(token):
            raise ValidationError(self._refusal(token))
        return token

    def _refusal(self, token: str) -> str:
        if paying.is_by_stripe():
            return "Please enter your card again." if token else "Please enter your card."
        return "Choose one of these cards." if token else "Choose a card to pay with."


def line_value(line: ordering.WantedLine) -> str:
    """A line as LinesField reads it."""
    return f"{line.sku}:{line.quantity}:{line.expected_price_minor}"


def _text(
    label: str, *, autocomplete: str, max_length: int, required: bool = True, help_text: str = ""
) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=max_length,
        required=required,
        help_text=help_text,
        widget=forms.TextInput(attrs={"autocomplete": autocomplete}),
    )


class CheckoutForm(forms.Form):
    """Contact, address, card and the books themselves."""

    name = _text("Full name", autocomplete="name", max_length=120)
    email = forms.EmailField(
        label="Email",
        max_length=254,
        help_text="For the confirmation and news of your parcel.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    address_line1 = _text("Street and number", autocomplete="address-line1", max_length=200)
    address_line2 = _text("Apartment, floor, company", autocomplete="address-line2", max_length=200, required=False)
    postcode = _text("Postcode", autocomplete="postal-code", max_length=20)
    city = _text("Town or city", autocomplete="address-level2", max_length=100)
    country = forms.ChoiceField(
        label="Country",
        choices=[("", "Choose a country"), *countries.COUNTRIES],
        widget=forms.Select(attrs={"autocomplete": "country"}),
    )
    payment_method = PaymentMethodField(label="Card")
    line = LinesField(error_messages={"required": "There is nothing to order. Your cart is empty."})
    expected_total_minor = forms.IntegerField(widget=forms.HiddenInput)
    idempotency_key = forms.UUIDField(
        widget=forms.HiddenInput,
        error_messages={"required": "This form is incomplete.", "invalid": "This form is damaged."},
    )

    def contact(self) -> ordering.Contact:
        """Who buys; only after is_valid()."""
        return ordering.Contact(**{name: self.cleaned_data[name] for name in ordering.Contact.__struct_fields__})


class ReturnForm(forms.Form):
    """Which copies of an order are to be sent back, and why."""

    reason = forms.CharField(
        label="What is the matter with them?",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": "Please say in a few words why."},
    )

    def __init__(self, *args: Any, left: Mapping[str, int], **kwargs: Any) -> None:
        """`left` are the copies, by sku, that can be sent back."""
        super().__init__(*args, **kwargs)
        self._skus = [sku for sku, most in left.items() if most]
        for sku in self._skus:
            error = f"That must be a whole number from 0 to {left[sku]}."
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
            raise ValidationError("Please say of which book how many copies you want to send back.")
        return {**cleaned, "units": {sku: number for sku, number in units.items() if number}}

    def copies(self) -> dict[str, forms.BoundField]:
        """The number fields by sku, for the page."""
        return {sku: self[f"copies-{sku}"] for sku in self._skus}


class SignUpForm(BaseUserCreationForm):  # type: ignore[type-arg]
    """A new account."""

    email = forms.EmailField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    class Meta(BaseUserCreationForm.Meta):
        model = User
        fields = ("username", "email")
