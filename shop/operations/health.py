"""Health checks: is this process alive, and can the shop take orders?"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_redis import get_redis_connection
from django_redis.exceptions import ConnectionInterrupted

from kafka_bridge.runtime import clients
from kafka_bridge.runtime.postgresql import database_bounds
from orders.mailing import mails
from shop.operations.processes import metrics_view

KAFKA_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Check:
    """A service that the shop needs: how to check it, which errors mean that it is down, and the consequences."""

    name: str
    ask: Callable[[], None]
    errors: tuple[type[Exception], ...]
    is_vital: bool
    without_it: str


def _ask_postgresql() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        if cursor.fetchone()[0] == "on":
            # Or this thread would go on asking a server that was the primary once.
            connection.close_at = time.monotonic()
            raise database_bounds.ReadOnlyServer


def _ask_redis() -> None:
    get_redis_connection("default").ping()


def _ask_kafka() -> None:
    """Check that a bootstrap server accepts connections; a Kafka client would be too expensive for a health check."""
    failure: OSError = OSError("no bootstrap server is named")
    for server in clients.conf().bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=KAFKA_TIMEOUT_SECONDS).close()
        except OSError as error:
            failure = error
        else:
            return
    raise failure


class MailsLate(Exception):
    """A mail has been due for minutes, and nobody has taken it up."""


def _ask_mails() -> None:
    if mails.oldest_due_seconds() > mails.LATE_SECONDS:
        raise MailsLate


CHECKS = (
    Check(
        name="postgresql",
        ask=_ask_postgresql,
        errors=(DatabaseError,),
        is_vital=True,
        without_it="no page and no order works; see DATABASE_URL",
    ),
    Check(
        name="redis",
        ask=_ask_redis,
        errors=(redis.RedisError, ConnectionInterrupted, OSError),
        is_vital=False,
        without_it="orders are taken, pages are slower and do not update live; see REDIS_URL",
    ),
    Check(
        name="kafka",
        ask=_ask_kafka,
        errors=(OSError,),
        is_vital=False,
        without_it="orders are taken and wait in the outbox; see KAFKA_BOOTSTRAP_SERVERS",
    ),
    Check(
        name="mail",
        ask=_ask_mails,
        errors=(DatabaseError, MailsLate),
        is_vital=False,
        without_it="orders go on, their mails wait; is notifications running, and does it reach EMAIL_URL?",
    ),
)


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Liveness: this process answers. It checks nothing else, so that an outage elsewhere never restarts the shop."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Readiness: 200 if orders can be taken, 503 if not; to staff and to holders of the token, with what is wrong."""
    answers = {check.name: _answer_of(check) for check in CHECKS}
    stopped = any(check.is_vital and not answers[check.name]["ok"] for check in CHECKS)
    degraded = any(not answer["ok"] for answer in answers.values())
    status = "unavailable" if stopped else "degraded" if degraded else "ok"
    body = {"status": status, "checks": answers} if _may_know(request) else {"status": _WORDS[stopped]}
    return JsonResponse(body, status=503 if stopped else 200)


_WORDS = {False: "ok", True: "not ok"}


def _may_know(request: HttpRequest) -> bool:
    """Which part of the shop is weak just now is of use to attackers."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if settings.READYZ_TOKEN and constant_time_compare(token, settings.READYZ_TOKEN):
        return True
    try:
        return bool(request.user.is_active and request.user.is_staff)
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


def _answer_of(check: Check) -> dict[str, Any]:
    started = time.monotonic()
    try:
        check.ask()
    except check.errors as error:
        # The kind of error only: its text may hold addresses and user names.
        return {"ok": False, "error": type(error).__name__, "means": check.without_it}
    return {"ok": True, "milliseconds": round((time.monotonic() - started) * 1000, 1)}
