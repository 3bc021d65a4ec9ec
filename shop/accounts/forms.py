"""The sign-up form."""

from django import forms
from django.contrib.auth.forms import BaseUserCreationForm
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from shop.accounts import names
from shop.typed import fields

TAKEN = "Please choose another user name."
"""Said of a name that is taken, looks like one that is, or is reserved: which one is nobody's business."""


class SignUpForm(BaseUserCreationForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A new account."""

    email = fields.AddressField(widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    class Meta(BaseUserCreationForm.Meta):
        model = User
        fields = ("username", "email")
        error_messages = {"username": {"unique": TAKEN}}  # noqa: RUF012 - as Django reads it

    def sign_up(self) -> User | None:
        """The new account; None, with an error in the form, where its name is taken, if only just now."""
        try:
            with transaction.atomic():
                user: User = self.save()
                names.claim(user)
        except (IntegrityError, names.NameTaken):
            self.add_error("username", TAKEN)
            return None
        return user
