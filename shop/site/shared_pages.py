"""Pages that are the same for everybody: made once, sent to many.

# Note [Shared pages]
The front page, the lists and the pages of books differ between visitors only in the header (who is signed in, what is
in the cart) and in messages. So the rest is rendered at most a few times a second, however many look at it, with gaps
for these parts (`{% personal %}`), which are rendered for each visitor who has a session. A visitor without cookies
gets the answer of the last such visitor, with its headers: the web process sends it without asking Django at all. Such
an answer sets no cookie and does not depend on one, so no form in it can carry a token: see `same_origin`.

How old is what such a page says of price, stock and sale? At most as old as prices in the process (half a second), plus
the page, plus the answer: one second together.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template import engines
from django.template.backends.django import DjangoTemplates
from django.template.context import make_context
from django.template.loader import get_template

from shop.activity import noting
from shop.activity.counting import View
from shop.site import shared_answers
from shop.site.ttl_cache import TtlCache

PAGE_SECONDS = 0.3
# Searches of strangers must not fill the memory: an address is some tens of kilobytes.
PAGES_MAX = 500
GAP = "\0"
"""Stands around the name of a template in a page; no text of ours or of PostgreSQL's can hold it."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a shared page is made of."""

    template: str
    context: Mapping[str, Any]
    personal: Mapping[str, Any] = field(default_factory=dict)
    """What the personal parts need of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rendered:
    """Text and names of templates in turn, the text first and last."""

    pieces: list[str]
    personal: Mapping[str, Any]


class _NotShared(Exception):
    """The address has no page: `answer` is a redirect, or the like."""

    def __init__(self, answer: HttpResponseBase) -> None:
        self.answer = answer


_pages: OrderedDict[str, TtlCache[_Rendered]] = OrderedDict()
_lock = threading.Lock()


def respond(request: HttpRequest, build: Callable[[], Page | HttpResponseBase], *, view: View) -> HttpResponseBase:
    """The page at this address, made by `build` unless it is there; with what is personal in it filled in. `view` is
    what it is counted as.

    Raises:
        Exception: what `build` raised.
    """
    try:
        page = _page_at(request.get_full_path(), lambda: _render(request, build()))
    except _NotShared as other:
        return other.answer
    noting.page_shown(request, view)
    if shared_answers.is_stranger(request.META.get("HTTP_COOKIE", "")):
        response = HttpResponse(_filled(page, _as_nobody(request), {"cart_count": 0}))
        response[shared_answers.IS_SHARED] = shared_answers.mark(view)
        response["Cache-Control"] = "no-cache"  # kept by the browser, and asked for by its ETag
        response["Vary"] = "HX-Request"
    else:
        response = HttpResponse(_filled(page, request, {}))
        response["Cache-Control"] = "private, no-cache"
        response["Vary"] = "HX-Request, Cookie"
    return response


def forget() -> None:
    """Drop all pages and answers, after a change of what they show."""
    with _lock:
        _pages.clear()
    shared_answers.answers.forget()


def _page_at(address: str, load: Callable[[], _Rendered]) -> _Rendered:
    with _lock:
        if (found := _pages.get(address)) is None:
            found = _pages[address] = TtlCache(load, max_age_seconds=PAGE_SECONDS)
        _pages.move_to_end(address)
        if len(_pages) > PAGES_MAX:
            _pages.popitem(last=False)
    return found.get(load)


def _render(request: HttpRequest, page: Page | HttpResponseBase) -> _Rendered:
    if isinstance(page, HttpResponseBase):
        raise _NotShared(page)
    text = get_template(page.template).render({**page.context, "has_gaps": True}, request)
    return _Rendered(pieces=text.split(GAP), personal=page.personal)


def _filled(page: _Rendered, request: HttpRequest, more: Mapping[str, Any]) -> str:
    engine = engines["django"]
    assert isinstance(engine, DjangoTemplates)  # noqa: S101 - for the type checker
    templates = [engine.engine.get_template(name) for name in page.pieces[1::2]]
    context = make_context({**page.personal, **more}, request)
    pieces = list(page.pieces)
    if templates:
        with context.bind_template(templates[0]):
            pieces[1::2] = [template.render(context) for template in templates]
    return "".join(pieces)


def _as_nobody(request: HttpRequest) -> HttpRequest:
    """The request, so that what is rendered with it asks for no session: else the answer would depend on its cookie."""
    request.user = AnonymousUser()
    if hasattr(request, "_messages"):
        del request._messages
    return request
