"""Signing in: by user name in any case, and only so often."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from shop.accounts import names
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
        counts = _counts(request, username) if request is not None else ()
        if request is not None:
            limits.take(
                request, *counts
            )  # before the password is looked at: many guesses at once are counted one by one
        user = self._checked(username, password)
        if user is None:
            raise PermissionDenied
        limits.give_back(*counts)
        return user

    def _checked(self, username: str, password: str) -> User | None:
        user = names.user_named(username)
        if user is None:
            User().set_password(
                password
            )  # takes as long as checking one, so that the time tells nobody which names exist
            return None
        return user if user.check_password(password) and self.user_can_authenticate(user) else None


def _counts(request: HttpRequest, username: str) -> tuple[limits.Count, ...]:
    network = visitors.network_of(request)
    return (limits.SIGN_IN_NAME, f"{names.folded(username)[:150]} {network}"), (limits.SIGN_IN_NETWORK, network)
