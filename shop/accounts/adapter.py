"""What django-allauth asks the shop: how its mails leave, what a new account is called, and where links lead."""

import string
from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as allauth_context
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import get_random_string
from django.utils.http import url_has_allowed_host_and_scheme

from shop.accounts import mailboxes, mails
from shop.limits import visitors
from shop.typed import emails

_LETTERS = string.ascii_lowercase + string.digits
_ASKED_FOR_BY_ANYBODY = frozenset(
    {"email_confirmation_signup", "email_confirmation", "account_already_exists", "password_reset_key"}
)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # it has no types
    """Mails by way of `shop.accounts.mails`, links by `settings.SHOP_URL`, limits by `shop.limits`."""

    def send_mail(self, template_prefix: str, email: str, context: Mapping[str, Any]) -> None:
        """Have it sent, by the last part of the template's name."""
        name = template_prefix.rpartition("/")[2]
        if name in _ASKED_FOR_BY_ANYBODY and not mails.may_write_to(allauth_context.request, email):
            return
        mails.queue(to=email, name=name, context=context)

    def populate_username(self, request: HttpRequest, user: User) -> None:
        """A user name that nobody asked for and that says nothing: it stands in the activity log for ever."""
        user.username = f"buyer-{get_random_string(10, _LETTERS)}"

    def clean_email(self, email: str) -> str:
        """By the shop's one rule.

        Raises:
            ValidationError: no mail server could take it.
        """
        try:
            return mailboxes.clean(email)
        except emails.NotAnAddress as error:
            raise ValidationError(str(error)) from error

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Where an address is confirmed."""
        return f"{settings.SHOP_URL}{reverse('account_confirm_email', args=[emailconfirmation.key])}"

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Where a password is chosen; the key is the account and its token."""
        uid, _, token = key.partition("-")
        return f"{settings.SHOP_URL}{reverse('account_reset_password_from_key', args=[uid, token])}"

    def is_safe_url(self, url: str) -> bool:
        """Whether it is a page of the host that was asked."""
        request = allauth_context.request
        hosts = {request.get_host()}
        return url_has_allowed_host_and_scheme(url, allowed_hosts=hosts, require_https=request.is_secure())

    def get_client_ip(self, request: HttpRequest) -> str:
        """The visitor's network, as limits count it."""
        return visitors.network_of(request)
