"""Signing up, in and out, and confirming an address."""

from typing import Any

from allauth.account import views as allauth_views
from allauth.account.internal import flows
from allauth.account.internal.stagekit import unstash_login
from allauth.account.models import Login
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from shop.accounts import forms, mailboxes
from shop.limits import limits, visitors

FORM_METHODS = ("get", "head", "post")


class SignIn(LoginView):
    """Sign in, then return to where the buyer was."""

    template_name = "accounts/sign_in.html"
    authentication_form = forms.SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        """The password is right; what else has to happen before the session begins is allauth's matter."""
        return sign_in(self.request, form.get_user(), self.get_success_url())


def sign_in(request: HttpRequest, user: User, redirect_url: str = "") -> HttpResponse:
    """Begin the session, or ask first for what is missing: that the address is confirmed."""
    must = "mandatory" if mailboxes.awaits_confirmation(user) else "none"
    login = Login(user=user, redirect_url=redirect_url or None, email_verification=must)
    response: HttpResponse = flows.login.perform_password_login(request, {"username": user.get_username()}, login)
    return response


@method_decorator(never_cache, name="dispatch")
class SignOut(LogoutView):
    """Ends the session, and with it the open sockets."""


class SignUp(allauth_views.SignupView):  # type: ignore[misc]  # it has no types
    """Make an account; the guest's cart is kept. What is answered is the same whether the address has one or not."""

    http_method_names = FORM_METHODS
    template_name = "accounts/sign_up.html"
    form_class = forms.SignUpForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Count it, and make the account."""
        limits.take(request, (limits.SIGN_UP, visitors.network_of(request)))
        response: HttpResponse = super().post(request, *args, **kwargs)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """The form again, with what is wrong."""
        response: HttpResponse = self.render_to_response(self.get_context_data(form=form), status=422)
        return response


class ConfirmationSent(allauth_views.EmailVerificationSentView):  # type: ignore[misc]  # it has no types
    """Look into your mailbox."""

    http_method_names = ("get", "head")
    template_name = "accounts/confirmation_sent.html"


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
@method_decorator(never_cache, name="dispatch")
class ConfirmAddress(allauth_views.ConfirmEmailView):  # type: ignore[misc]  # it has no types
    """Confirm an address by the link of a mail.

    # Note [Who confirms]
    A stranger may sign up with somebody's address and hope that its owner follows the link: the account, with all the
    owner will do there, would open to the stranger's password. So whoever confirms shows to be who signed up: by the
    browser in which it was done, or by the password.
    """

    http_method_names = FORM_METHODS
    template_name = "accounts/confirm_address.html"

    def get(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """The question, or that the link is stale."""
        response: HttpResponse = super().get(*args, **kwargs)
        return response

    def post(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Confirm it, and sign in."""
        self.object = self.get_object()
        user = self.object.email_address.user
        needs_password = self._needs_password(user)
        if needs_password:
            form = forms.PasswordForm(self.request.POST, request=self.request, user=user)
            if not form.is_valid():
                return self._page(422, form=form)
        try:
            with transaction.atomic():
                response: HttpResponseBase = super().post(*args, **kwargs)
        except IntegrityError:  # another account was a moment faster
            return self._page(409, is_taken=True)
        if needs_password and mailboxes.confirmed_address(user.pk):
            user.backend = "shop.accounts.backends.AccountBackend"
            return sign_in(self.request, user)
        return response

    def _page(self, status: int, **context: Any) -> HttpResponse:
        response: HttpResponse = self.render_to_response(self.get_context_data(**context), status=status)
        return response

    def logout_other_user(self, confirmation: Any) -> None:
        """Whoever else is signed in stays that until this account's password is there."""
        if self.request.method == "POST":
            super().logout_other_user(confirmation)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whether the password is asked for."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        if self.object and self._needs_password(user := self.object.email_address.user):
            context.setdefault("form", forms.PasswordForm(request=self.request, user=user))
        return context

    def _needs_password(self, user: User) -> bool:
        """See Note [Who confirms]."""
        if self.request.user.is_authenticated:
            return bool(self.request.user.pk != user.pk)
        begun = unstash_login(self.request, peek=True)
        return begun is None or begun.user is None or bool(begun.user.pk != user.pk)
