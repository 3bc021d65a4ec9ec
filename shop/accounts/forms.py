"""The forms of accounts."""

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.account.internal import flows
from allauth.account.models import EmailAddress
from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection, transaction
from django.http import HttpRequest

from shop.accounts import backends, mailboxes
from shop.checkout import checkout_form
from shop.typed import emails, fields

SAME_ADDRESS = "This is the address of your account already."
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('shop.accounts.sign_up ' || %s, 0))"


class SignInForm(AuthenticationForm):
    """By mail address or user name."""

    error_messages = {  # noqa: RUF012 - as Django reads it
        "invalid_login": "Please enter a correct email address or user name, and its password.",
        "inactive": "This account is closed.",
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        login = self.fields["username"]
        login.label = "Email or user name"
        login.max_length = emails.LENGTH_MAX  # type: ignore[attr-defined]
        login.widget.attrs["maxlength"] = emails.LENGTH_MAX


class _WithoutPlaceholders(forms.Form):
    """A placeholder that says the label again is one thing more to read, and gone when one types."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)


class SignUpForm(_WithoutPlaceholders, allauth_forms.SignupForm):  # type: ignore[misc]  # it has no types
    """A mail address and a password."""

    email = fields.AddressField(label="Email", widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    def validate_unique_email(self, value: str) -> str:
        """Note that there is such an account; the page does not tell."""
        self.account_already_exists = bool(mailboxes.accounts_with(value))
        return value

    def try_save(self, request: HttpRequest) -> Any:
        """The new account and no answer yet, or none and the same answer; two at once make one account."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_LOCK, [self.cleaned_data["email"]])
            self.validate_unique_email(self.cleaned_data["email"])
            return super().try_save(request)


class ResetPasswordForm(allauth_forms.ResetPasswordForm):  # type: ignore[misc]  # it has no types
    """Whose password is to be chosen again."""

    email = fields.AddressField(label="Email", widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    def clean_email(self) -> str:
        """Find the accounts; see Note [Whose an address is]. The page does not tell whether there are any.

        Those of staff get no link: whoever reads their mail shall not be staff. Superusers give them passwords.
        """
        address = mailboxes.clean(self.cleaned_data["email"])
        self.users = [user for user in mailboxes.accounts_with(address) if not (user.is_staff or user.is_superuser)]
        return address


class ChangeEmailForm(allauth_forms.AddEmailForm):  # type: ignore[misc]  # it has no types
    """A new address. It counts once it is confirmed; until then the old one does."""

    email = fields.AddressField(label="New address", widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    password = forms.CharField(
        label="Your password",
        strip=False,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.fields["password"].required = not self.is_bound or not self._is_own(str(self.data.get("email", "")))

    def clean_password(self) -> str:
        """A session that was left open is no way to the account: another address takes the password.

        Raises:
            ValidationError: it is wrong.
        """
        password = self.cleaned_data["password"]
        return check_password(self.request, self.user, password) if self.fields["password"].required else ""

    def _is_own(self, address: str) -> bool:
        """Whether it is the address that the account has, confirmed or not."""
        return bool(address) and address.strip().lower() == self.user.email.lower()

    def clean_email(self) -> str:
        """Whether another account has it is not told: its owner gets a mail that changes nothing.

        Raises:
            ValidationError: it is this account's address.
        """
        address = mailboxes.clean(self.cleaned_data["email"])
        if mailboxes.confirmed_address(self.user.pk) == address:
            raise ValidationError(SAME_ADDRESS)
        return address

    def save(self, request: HttpRequest) -> EmailAddress:
        """Keep the new address beside the one that counts, instead of another one that was never confirmed."""
        address = self.cleaned_data["email"]
        with transaction.atomic():
            waiting = EmailAddress.objects.filter(user=self.user, verified=False)
            waiting.exclude(email__in=[address, self.user.email.lower()]).delete()
            row, _ = EmailAddress.objects.get_or_create(user=self.user, email=address)
        flows.email_verification.send_verification_email_to_address(request, row)
        return row


class ChooseAnewForm(_WithoutPlaceholders, allauth_forms.ResetPasswordKeyForm):  # type: ignore[misc]  # it has no types
    """A new password, by the link in a mail."""


class ChangePasswordForm(_WithoutPlaceholders, allauth_forms.ChangePasswordForm):  # type: ignore[misc]  # it has no types
    """A new password, after the old one."""

    def clean_oldpassword(self) -> str:
        """The password as it is; guesses are limited as at the sign-in.

        Raises:
            ValidationError: it is wrong.
        """
        return check_password(self.request, self.user, self.cleaned_data["oldpassword"])

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request


class PasswordForm(forms.Form):
    """The account's password once more, before something that only its owner may do."""

    password = forms.CharField(
        label="Password", strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )

    def __init__(self, *args: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request, self._user = request, user

    def clean_password(self) -> str:
        """The right password.

        Raises:
            ValidationError: it is wrong.
        """
        return check_password(self._request, self._user, self.cleaned_data["password"])


def check_password(request: HttpRequest, user: User, password: str) -> str:
    """The password, if it is this account's.

    Raises:
        ValidationError: it is not.
        limits.Refused: there were too many wrong ones.
    """
    try:
        backends.AccountBackend().authenticate(request, username=user.get_username(), password=password)
    except PermissionDenied as error:
        raise ValidationError("This is not the password of your account.") from error
    return password


class SavedAddressForm(forms.Form):
    """Where parcels go: what the checkout asks of an address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = checkout_form.CheckoutForm.base_fields
        for name in ("name", "address_line1", "address_line2", "postcode", "city", "country"):
            self.fields[name] = asked[name]
