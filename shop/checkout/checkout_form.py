"""What buyers type in at the checkout, and what is said when it cannot be right."""

import re
from collections.abc import Sequence

from django import forms
from django.core.exceptions import ValidationError

from orders.placing.placement import LINES_MAX, QUANTITY_MAX
from shop.cart import forms as cart_forms
from shop.checkout import contacts, countries, payment_form, price_check
from shop.prices import coupons
from shop.typed import fields


class LinesField(forms.Field):
    """The books of a checkout form as hidden fields `isbn:quantity:price seen`; cleans to a list of WantedLine.

    They are in the form, not taken from the cart, so that sending the same form twice asks for the same order. The
    price is only what the buyer was shown: it is compared with the real one, never charged.
    """

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Sequence[str] | None) -> list[price_check.WantedLine]:
        """Read the lines; a line that the shop's own page cannot have made is refused."""
        lines = [self._line(text) for text in value or ()]
        if len({line.sku for line in lines}) < len(lines):
            raise ValidationError("Each book may stand on one line only.")
        if len(lines) > LINES_MAX:
            raise ValidationError(f"An order can have {LINES_MAX} different books at the most.")
        return lines

    def _line(self, text: str) -> price_check.WantedLine:
        sku, _, rest = text.partition(":")
        quantity, _, price = rest.partition(":")
        if not re.fullmatch(r"[0-9]{13}", sku, re.ASCII):
            raise ValidationError("One of the books has no valid ISBN. Please go back to your cart.")
        if not re.fullmatch(r"[0-9]{1,2}", quantity, re.ASCII) or not 1 <= int(quantity) <= QUANTITY_MAX:
            raise ValidationError(cart_forms.QUANTITY_ERROR)
        if not re.fullmatch(r"[0-9]{1,9}", price, re.ASCII):
            raise ValidationError("One of the books has no valid price. Please go back to your cart.")
        return price_check.WantedLine(sku=sku, quantity=int(quantity), expected_price_minor=int(price))


class PaymentMethodField(forms.CharField):
    """The token of a card: one of the sandbox's, or what Stripe's form made of the card that was entered."""

    def clean(self, value: str | None) -> str:
        """Refuse what is no token, in words that fit the form which is shown."""
        token = str(self.to_python(value) or "")
        if not payment_form.accepts(token):
            raise ValidationError(self._refusal(token))
        return token

    def _refusal(self, token: str) -> str:
        if payment_form.is_by_stripe():
            return "Please enter your card again." if token else "Please enter your card."
        return "Choose one of these cards." if token else "Choose a card to pay with."


def line_value(line: price_check.WantedLine) -> str:
    """A line as LinesField reads it."""
    return f"{line.sku}:{line.quantity}:{line.expected_price_minor}"


def _text(
    name: str, label: str, *, autocomplete: str, required: bool = True, help_text: str = ""
) -> fields.TypedTextField:
    return fields.TypedTextField(
        label=label,
        max_length=contacts.LENGTHS[name],
        required=required,
        help_text=help_text,
        widget=forms.TextInput(attrs={"autocomplete": autocomplete}),
    )


class CheckoutForm(forms.Form):
    """Contact, address, card and the books themselves."""

    name = _text("name", "Full name", autocomplete="name")
    email = fields.AddressField(
        label="Email",
        help_text="For the confirmation and news of your parcel.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    address_line1 = _text("address_line1", "Street and number", autocomplete="address-line1")
    address_line2 = _text("address_line2", "Apartment, floor, company", autocomplete="address-line2", required=False)
    postcode = _text("postcode", "Postcode", autocomplete="postal-code")
    city = _text("city", "Town or city", autocomplete="address-level2")
    country = forms.ChoiceField(
        label="Country",
        choices=[("", "Choose a country"), *countries.choices()],
        widget=forms.Select(attrs={"autocomplete": "country"}),
    )
    payment_method = PaymentMethodField(label="Card")
    shipping = forms.CharField(label="Shipping", required=False, max_length=30)
    coupon = fields.TypedTextField(label="Coupon", required=False, max_length=coupons.TYPED_LENGTH)
    line = LinesField(error_messages={"required": "There is nothing to order. Your cart is empty."})
    expected_total_minor = forms.IntegerField(widget=forms.HiddenInput)
    idempotency_key = forms.UUIDField(
        widget=forms.HiddenInput,
        error_messages={"required": "This form is incomplete.", "invalid": "This form is damaged."},
    )

    def contact(self) -> contacts.Contact:
        """Who buys; only after is_valid()."""
        return contacts.Contact(**{name: self.cleaned_data[name] for name in contacts.Contact.__struct_fields__})
