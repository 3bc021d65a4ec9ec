"""Passwords: changed by who knows the old one, chosen anew by who reads the account's mail."""

from typing import Any

from allauth.account import views as allauth_views
from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from shop.accounts import account_views, forms, mailboxes
from shop.limits import limits, visitors


@method_decorator(never_cache, name="dispatch")
class AskReset(allauth_views.PasswordResetView):  # type: ignore[misc]  # it has no types
    """Ask for the mail with which a password is chosen."""

    http_method_names = account_views.FORM_METHODS
    template_name = "accounts/reset_password.html"
    form_class = forms.ResetPasswordForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count it, and have the mail sent if there is an account."""
        limits.take(request, (limits.ACCOUNT_MAILS, visitors.network_of(request)))
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """The form again, with what is wrong."""
        response: HttpResponse = self.render_to_response(self.get_context_data(form=form), status=422)
        return response


class ResetAsked(allauth_views.PasswordResetDoneView):  # type: ignore[misc]  # it has no types
    """Look into your mailbox."""

    http_method_names = ("get", "head")
    template_name = "accounts/reset_asked.html"


@method_decorator([require_http_methods(["GET", "HEAD", "POST"]), never_cache], name="dispatch")
class ChooseAnew(allauth_views.PasswordResetFromKeyView):  # type: ignore[misc]  # it has no types
    """Choose a password by the link of a mail. That also shows whose the address is."""

    template_name = "accounts/choose_password.html"
    form_class = forms.ChooseAnewForm

    def form_valid(self, form: Any) -> HttpResponse:
        """Set it; the mail with the link went to the account's address, so that one is confirmed."""
        _confirm_address_of(self.reset_user)
        response: HttpResponse = super().form_valid(form)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """The form again, with what is wrong."""
        response: HttpResponse = self.render_to_response(self.get_context_data(form=form), status=422)
        return response


def _confirm_address_of(user: User) -> None:
    """Unless it has one, or another account has just confirmed the same."""
    if not user.email or mailboxes.confirmed_address(user.pk):
        return
    try:
        with transaction.atomic():
            row, _ = EmailAddress.objects.get_or_create(user=user, email=user.email.lower())
            if row.set_verified():
                row.set_as_primary()
    except IntegrityError:
        return


class Chosen(allauth_views.PasswordResetFromKeyDoneView):  # type: ignore[misc]  # it has no types
    """It is chosen; sign in with it."""

    http_method_names = ("get", "head")
    template_name = "accounts/password_chosen.html"


@method_decorator([require_http_methods(["GET", "HEAD", "POST"]), never_cache], name="dispatch")
class ChangePassword(allauth_views.PasswordChangeView):  # type: ignore[misc]  # it has no types
    """Another password for who knows the old one; all other sessions end."""

    template_name = "accounts/change_password.html"
    form_class = forms.ChangePasswordForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """An account without a password gets one by mail."""
        if request.user.is_authenticated and not request.user.has_usable_password():
            return redirect("account_reset_password")
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def get_form_kwargs(self) -> dict[str, Any]:
        """The request, by which guesses are limited."""
        return {**super().get_form_kwargs(), "request": self.request}

    def get_default_success_url(self) -> str:
        """Back to the account."""
        return reverse("account")

    def form_invalid(self, form: Any) -> HttpResponse:
        """The form again, with what is wrong."""
        response: HttpResponse = self.render_to_response(self.get_context_data(form=form), status=422)
        return response
