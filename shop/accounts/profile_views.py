"""The pages of one's own account: address, password, saved addresses, data, and its end."""

import json
from typing import Any

from allauth.account import views as allauth_views
from allauth.account.models import EmailAddress
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from orders import queries as order_queries
from orders.actions import buyers
from shop.accounts import account_views, address_book, forms, mailboxes
from shop.accounts.personal_data import deleting, exporting
from shop.checkout import countries
from shop.limits import limits, visitors


def _user(request: HttpRequest) -> User:
    """Who is signed in, as behind `login_required` somebody is."""
    assert isinstance(request.user, User)  # noqa: S101 - for the type checker
    return request.user


@never_cache
@login_required
@require_safe
def account_page(request: HttpRequest) -> HttpResponse:
    """What the account is, and ways to its parts."""
    user = _user(request)
    confirmed = mailboxes.confirmed_address(user.pk)
    context = {
        "confirmed": confirmed,
        "claimable": len(buyers.claimable(confirmed)) if confirmed else 0,
        "addresses": address_book.of_account(user.pk),
    }
    return render(request, "accounts/account.html", context)


@method_decorator(never_cache, name="dispatch")
class ChangeAddress(allauth_views.EmailView):  # type: ignore[misc]  # it has no types
    """Another mail address; it counts once it is confirmed."""

    http_method_names = account_views.FORM_METHODS
    template_name = "accounts/change_email.html"
    form_class = forms.ChangeEmailForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Send the mail with the link."""
        limits.take(request, (limits.ACCOUNT_MAILS, visitors.network_of(request)))
        response: HttpResponseBase = super().post(request, *args, **kwargs)
        return response

    def get_form_kwargs(self) -> dict[str, Any]:
        """The request, by which guesses of the password are limited."""
        return {**super().get_form_kwargs(), "request": self.request}

    def form_invalid(self, form: Any) -> HttpResponse:
        """The form again, with what is wrong."""
        response: HttpResponse = self.render_to_response(self.get_context_data(form=form), status=422)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The address that counts, whether it is confirmed, and the one that waits for that."""
        user = _user(self.request)
        waiting = EmailAddress.objects.filter(user=user, verified=False).exclude(email=user.email.lower())
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return {**context, "confirmed": mailboxes.confirmed_address(user.pk), "waiting": waiting.order_by("pk").last()}


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def addresses_page(request: HttpRequest) -> HttpResponse:
    """Saved addresses: add, remove, choose the one that the checkout fills in."""
    user = _user(request)
    if request.method == "POST" and (chosen := request.POST.get("address", "")):
        act = address_book.remove if "remove" in request.POST else address_book.make_default
        if chosen.isascii() and chosen.isdigit() and len(chosen) < 19:
            act(user_id=user.pk, address_id=int(chosen))
        return redirect("account_addresses")
    form = forms.SavedAddressForm(request.POST or None, initial=None if request.POST else _last_used(user.pk))
    if request.method == "POST" and form.is_valid():
        try:
            address_book.save(user_id=user.pk, contact=form.cleaned_data)
        except address_book.BookFull:
            form.add_error(None, f"You have {address_book.ADDRESSES_MAX} addresses. Remove one first.")
        else:
            return redirect("account_addresses")
    addresses = [(address, countries.name_of(address.country)) for address in address_book.of_account(user.pk)]
    context = {"form": form, "addresses": addresses}
    return render(request, "accounts/addresses.html", context, status=422 if form.errors else 200)


def _last_used(user_id: int) -> dict[str, Any] | None:
    """Where the last order went, as long as no address is saved."""
    if address_book.of_account(user_id):
        return None
    found: dict[str, Any] | None = order_queries.orders_of(user_id).values(*address_book.FIELDS).first()
    return found


@never_cache
@require_POST
@login_required
def export_data(request: HttpRequest) -> HttpResponse:
    """All that there is about the person, as a JSON file."""
    user = _user(request)
    limits.take(request, (limits.ACCOUNT_DATA, str(user.pk)))
    text = json.dumps(exporting.everything_about(user), cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
    return HttpResponse(
        text,
        content_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="bookrush-account.json"'},
    )


@sensitive_post_parameters("password")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete_account(request: HttpRequest) -> HttpResponse:
    """Delete the account, confirmed by its password; what stays is said before."""
    user = _user(request)
    form = forms.PasswordForm(request.POST or None, request=request, user=user)
    prevented = deleting.what_prevents(user)
    if request.method == "POST" and not prevented and form.is_valid():
        try:
            deleting.delete(user)
        except deleting.NotYet as error:
            prevented = str(error)
        else:
            logout(request)
            messages.success(request, "Your account is deleted. Thank you for reading with us.")
            return redirect("catalogue")
    context = {"form": form, "prevented": prevented, "has_password": user.has_usable_password()}
    return render(request, "accounts/delete.html", context, status=422 if form.errors else 200)
