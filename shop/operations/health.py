"""Health checks: is this process alive, and can the shop take orders?"""

from collections.abc import Callable

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_redis.exceptions import ConnectionInterrupted

from shop.operations import readiness
from shop.operations.processes import metrics_view


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Liveness: this process answers. It checks nothing else, so that an outage elsewhere never restarts the shop."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Readiness: 200 if orders can be taken, 503 if not; to staff and to holders of the token, with what is wrong."""
    answers = readiness.check_all()
    stopped = not all(answers[name]["ok"] for name in readiness.vital())
    degraded = any(not answer["ok"] for answer in answers.values())
    status = "unavailable" if stopped else "degraded" if degraded else "ok"
    may_know = _may_know(request, can_ask=not stopped)
    body = {"status": status, "checks": answers} if may_know else {"status": _WORDS[stopped]}
    return JsonResponse(body, status=503 if stopped else 200)


_WORDS = {False: "ok", True: "not ok"}


def _may_know(request: HttpRequest, *, can_ask: bool) -> bool:
    """Which part of the shop is weak just now is of use to attackers. Who is staff, PostgreSQL is not always there to
    say: then the token alone counts.
    """
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if settings.READYZ_TOKEN and constant_time_compare(token, settings.READYZ_TOKEN):
        return True
    try:
        return can_ask and bool(request.user.is_active and request.user.is_staff)
    except (DatabaseError, redis.RedisError, ConnectionInterrupted):
        return False  # who asks cannot be found out just now


class ProbeMiddleware:
    """Answers health checks under any Host: a probe calls a pod by its address. For the rest Django checks Host."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._probes = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics_view.show_metrics}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = self._probes.get(request.path_info)
        if probe is None or _is_known_host(request):
            return self._get_response(request)
        request.user = AnonymousUser()
        try:
            return probe(request)
        except Http404:
            return HttpResponse("not found\n", status=404, content_type="text/plain")


def _is_known_host(request: HttpRequest) -> bool:
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True
