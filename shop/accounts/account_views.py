"""Signing up, in and out."""

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from shop.accounts import forms
from shop.limits import limits, visitors


class SignIn(LoginView):
    """Sign in, then return to where the buyer was."""

    template_name = "accounts/sign_in.html"
    redirect_authenticated_user = True


@method_decorator(never_cache, name="dispatch")
class SignOut(LogoutView):
    """Ends the session, and with it the open sockets."""


@never_cache
@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Create an account and sign in; the guest's cart is kept."""
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = forms.SignUpForm(request.POST or None)
    if request.method == "POST":
        limits.take(request, (limits.SIGN_UP, visitors.network_of(request)))
    if request.method == "POST" and form.is_valid() and (user := form.sign_up()) is not None:
        login(request, user, backend="shop.accounts.backends.AccountBackend")
        return HttpResponseRedirect(_next(request) or resolve_url("catalogue"))
    return render(
        request, "accounts/sign_up.html", {"form": form, "next": _next(request)}, status=422 if form.errors else 200
    )


def _next(request: HttpRequest) -> str:
    """The page to go to afterwards, if it is one of ours."""
    target = request.POST.get("next", request.GET.get("next", ""))
    safe = url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return target if safe else ""
