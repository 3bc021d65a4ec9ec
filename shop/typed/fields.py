"""Form fields for what people type, by the rules of this package."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

from shop.typed import emails, texts


class TypedTextField(forms.CharField):
    """A text as `texts.clean` stores it; several lines where its widget is a text area."""

    def to_python(self, value: Any) -> Any:
        """The clean text.

        Raises:
            ValidationError: it has something in it that it must not have.
        """
        if value in self.empty_values:
            return self.empty_value
        multiline = isinstance(self.widget, forms.Textarea)
        try:
            return texts.clean(str(value), max_length=self.max_length or 10_000, multiline=multiline)
        except texts.NotAllowed as error:
            raise ValidationError(str(error)) from error


class AddressField(forms.EmailField):
    """A mail address as `emails.clean` stores it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=emails.LENGTH_MAX, **kwargs)
        # Two rules would let the page and the JSON interface differ.
        self.validators = [rule for rule in self.validators if not isinstance(rule, EmailValidator)]

    def clean(self, value: Any) -> Any:
        """The address, or "" where none is needed.

        Raises:
            ValidationError: no mail server could take it.
        """
        address = super().clean(value)
        try:
            return emails.clean(address) if address else address
        except emails.NotAnAddress as error:
            raise ValidationError(str(error)) from error
