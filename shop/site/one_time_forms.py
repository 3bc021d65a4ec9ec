"""A form that moves something is done once, however often it is sent.

# Note [One form, one act]
Every form of the admin, and those of buyers under `@one_time`, carries a random token (see `csrf_token` in
`shop/templatetags/one_time_tokens.py`). The middleware writes the token, what the form does, and what came of it in one
transaction: all of it is committed, or nothing. The token is unique, so a second press that comes at the same moment
waits for the first one, then finds its result and shows it. Only an answer that redirects counts as done; a form that
is shown again, with its errors, may be sent again.

Pages that commit by themselves say so with Django's `transaction.non_atomic_requests`. For them the token is committed
first and the result afterwards: a crash in between leaves a token without a result, and a second press says so.

A request without a token (a script, a page from before an update) is carried out as it comes.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.messages.storage.base import Message
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from shop.models import FormPress

FIELD = "form_token"
_NOT_ONCE = frozenset({"login", "logout"})
_NO_CONTENTS = frozenset({FIELD, "csrfmiddlewaretoken"})
_WAIT_SECONDS, _POLL_SECONDS = 5.0, 0.05
View = Callable[..., HttpResponseBase]


def one_time(view: View) -> View:
    """Have this page's form done once; what it does must be one transaction."""
    view.is_one_time = True  # type: ignore[attr-defined]  # a mark, for the test that looks for views without it
    return view


def applies_to(request: HttpRequest) -> bool:
    """Whether the forms on this page, or sent to it, are done once."""
    match = request.resolver_match
    if match is None:
        return False
    if _is_of_admin(request):
        return match.url_name not in _NOT_ONCE
    return getattr(match.func, "is_one_time", False)


class OneTimeFormsMiddleware:
    """Carries out a form that has a token, or shows what came of it the first time. See Note [One form, one act]."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass on; everything is done once the page is known."""
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: View, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        """Answer a form that has a token."""
        if request.method != "POST" or not applies_to(request) or (token := _token_of(request)) is None:
            return None
        if _is_of_admin(request) and not admin.site.has_permission(request):
            return None  # goes to the sign-in page, which is no result
        press = FormPress(token=token, owner=_owner(request), path=request.path[:500], contents=_contents(request))
        carry_out = _claim_first if getattr(view, "_non_atomic_requests", None) else _in_one_transaction
        return carry_out(request, press, lambda: view(request, *args, **kwargs))


def _in_one_transaction(
    request: HttpRequest, press: FormPress, act: Callable[[], HttpResponseBase]
) -> HttpResponseBase:
    with transaction.atomic(durable=True):
        first = _claim(press)
        if first is None:
            return _record(request, press, act)
    return _result(request, press, first)


def _claim_first(request: HttpRequest, press: FormPress, act: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    with transaction.atomic(durable=True):
        first = _claim(press)
    if first is not None:
        return _result(request, press, _finished(first))
    try:
        return _record(request, press, act)
    except (PermissionDenied, Http404):
        press.delete()
        raise


def _claim(press: FormPress) -> FormPress | None:
    """Store the token; if it is there already, the press that stored it. Waits for one that is under way."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO shop_formpress (token, owner, path, contents, location, said)
            VALUES (%s, %s, %s, %s, '', '[]') ON CONFLICT DO NOTHING
            """,
            [press.token, press.owner, press.path, press.contents],
        )
        return None if cursor.rowcount else FormPress.objects.get(pk=press.token)


def _record(request: HttpRequest, press: FormPress, act: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """Carry the form out, and store where it leads and what it says; nothing, if it was not done."""
    before = len(messages.get_messages(request))
    response = act()
    if isinstance(response, HttpResponseRedirect):
        press.location, press.said = response.url, _said(request)[before:]
        press.save(force_update=True, update_fields=["location", "said"])
    else:
        press.delete()
    return response


def _finished(first: FormPress) -> FormPress:
    """The first press with its result, if that comes within moments."""
    until = time.monotonic() + _WAIT_SECONDS
    while not first.location and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        first = FormPress.objects.filter(pk=first.pk).first() or first
    return first


def _result(request: HttpRequest, press: FormPress, first: FormPress) -> HttpResponseBase:
    """What came of the first press."""
    home = reverse("admin:index" if _is_of_admin(request) else "catalogue")
    if (first.owner, first.path) != (press.owner, press.path):
        messages.error(request, "This form has been used already, so nothing was done. Open it again.")
        return HttpResponseRedirect(home)
    if not first.location:
        messages.warning(
            request,
            "This form was sent before, and there is no result of it yet. Nothing was done again; look at what has "
            "changed before you send another one.",
        )
        return HttpResponseRedirect(home)
    if first.contents != press.contents:
        messages.error(
            request,
            "This form was sent before with other contents. What you have sent now was not done; open the form again.",
        )
        return HttpResponseRedirect(first.location)
    for message in first.said:
        messages.add_message(request, message.level, message.message, message.extra_tags or "")
    messages.info(request, "This form was sent twice, and was done once. To do it again, open it again.")
    return HttpResponseRedirect(first.location)


def _said(request: HttpRequest) -> list[Message]:
    """The messages that the next page will show; they stay in the queue."""
    queue = messages.get_messages(request)
    found = [Message(message.level, str(message.message), message.extra_tags) for message in queue]
    for message in found:
        messages.add_message(request, message.level, message.message, message.extra_tags or "")
    return found


def _is_of_admin(request: HttpRequest) -> bool:
    return request.resolver_match is not None and request.resolver_match.app_name == "admin"


def _token_of(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.POST.get(FIELD, ""))
    except ValueError:
        return None


def _owner(request: HttpRequest) -> str:
    return str(request.user.pk or "")


def _contents(request: HttpRequest) -> str:
    """What the form says, as a hash: the same token with other contents is another act."""
    fields = sorted((name, values) for name, values in request.POST.lists() if name not in _NO_CONTENTS)
    return hashlib.sha256(repr((request.META.get("QUERY_STRING", ""), fields)).encode()).hexdigest()
