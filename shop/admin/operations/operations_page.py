"""The way from the admin to the operations page, which another role serves: a pass, and its address."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import redirect
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from shop.admin.site import navigation
from shop.operations.pages import passes, rendering

_ORDER_LENGTH_MAX = 60


@never_cache
@require_safe
def open_page(request: HttpRequest, page: str = "") -> HttpResponse:
    """Give the pass to whoever may look, and go to that page."""
    user = navigation.person(request)
    if not request.user.has_perm(passes.PERMISSION):
        raise PermissionDenied
    found = rendering.find(page)
    if found is None:
        raise Http404
    response = redirect(ops_origin(request) + found.url + _query(request))
    passes.grant(response, user)
    return response


@never_cache
@require_safe
def open_window(request: HttpRequest) -> HttpResponse:
    """Give the pass to whoever may look, and go to the window on Kafka; with an order's id, to its way through it."""
    user = navigation.person(request)
    if not request.user.has_perm(passes.PERMISSION):
        raise PermissionDenied
    order = request.GET.get("order", "")[:_ORDER_LENGTH_MAX]
    response = redirect(ops_origin(request) + "/kafka/" + (f"?{urlencode({'order': order})}" if order else ""))
    passes.grant(response, user)
    return response


def _query(request: HttpRequest) -> str:
    """What the address says, as far as pages know it."""
    asked = {name: value for name, value in request.GET.items() if name in rendering.QUERY_NAMES}
    known = {name: value for name, value in asked.items() if 0 < len(value) <= rendering.QUERY_LENGTH_MAX}
    return f"?{urlencode(known)}" if known else ""


def ops_origin(request: HttpRequest) -> str:
    """Where the role live is for this browser; empty where it has the same origin (behind a proxy)."""
    if not settings.LIVE_PORT:
        return ""
    domain, _ = split_domain_port(request.get_host())
    return f"{request.scheme}://{domain}:{settings.LIVE_PORT}"


urlpatterns = [
    path("operations/", admin.site.admin_view(open_page), name="operations"),
    path("operations/kafka/", admin.site.admin_view(open_window), name="kafka_window"),
    path("operations/<slug:page>/", admin.site.admin_view(open_page), name="operations_page"),
]
