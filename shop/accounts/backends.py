"""Signing in: by mail address or user name, in any case, and only so often."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from shop.accounts import mailboxes, names
from shop.limits import limits, visitors


class AccountBackend(ModelBackend):
    """Django's own, with the limits of wrong passwords; the shop's page and the admin's come through here."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The account, if the password is right; without a request (commands, tests) nothing is limited.

        Raises:
            limits.Refused: too many wrong passwords; this one was not looked at.
            PermissionDenied: the password is wrong.
        """
        if username is None or password is None:
            return None
        user = account_called(username)
        counts = _counts(request, user, username) if request is not None else ()
        if request is not None:
            limits.take(
                request, *counts
            )  # before the password is looked at: many guesses at once are counted one by one
        if not self._is_right(user, password):
            raise PermissionDenied
        limits.give_back(*counts)
        return user

    def _is_right(self, user: User | None, password: str) -> bool:
        if user is None:
            User().set_password(
                password
            )  # takes as long as checking one, so that the time tells nobody which names exist
            return False
        return user.check_password(password) and self.user_can_authenticate(user)


def account_called(login: str) -> User | None:
    """The account with this user name or mail address; None where there is none, or several share the address."""
    named = names.user_named(login)
    if named is not None or "@" not in login:
        return named
    found = mailboxes.accounts_with(login)
    return found[0] if len(found) == 1 else None


def _counts(request: HttpRequest, user: User | None, login: str) -> tuple[limits.Count, ...]:
    """By account, where there is one: its name and its address are not two chances."""
    network = visitors.network_of(request)
    whom = f"#{user.pk}" if user is not None else names.folded(login)[:150]
    return (limits.SIGN_IN_NAME, f"{whom} {network}"), (limits.SIGN_IN_NETWORK, network)
