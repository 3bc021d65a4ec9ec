"""Requests, counted by route: never by what a visitor wrote, or strangers would fill the memory with names."""

import re
import time
from collections.abc import Callable
from functools import partial

from django.http import HttpRequest, HttpResponseBase

from kafka_bridge.telemetry import log_context, metrics

REQUESTS = metrics.counter(
    "http_requests",
    "Requests by the name of their route, and by the first digit of the status",
    ["route", "status"],
    by="web",
)
SECONDS = metrics.histogram("http_request_seconds", "How long it took to answer a request", ["route"], by="web")
UNDER_WAY = metrics.gauge("http_requests_under_way", "Requests that threads are answering", by="web")
NO_ROUTE = "none"
"""Files, and addresses that there are not."""


class RequestMetricsMiddleware:
    """Around all others."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer it, and count that."""
        began = time.perf_counter()
        with UNDER_WAY.track_inprogress(), log_context.about(partial(_ids, request)):
            response = self._get_response(request)
        match = request.resolver_match
        route = (match.view_name or NO_ROUTE) if match is not None else NO_ROUTE
        REQUESTS.labels(route, f"{response.status_code // 100}xx").inc()
        SECONDS.labels(route).observe(time.perf_counter() - began)
        return response


def _ids(request: HttpRequest) -> dict[str, str]:
    """What log lines about a request name; a header counts only in the form that W3C's Trace Context gives it."""
    match, trace = request.resolver_match, request.headers.get("traceparent", "")
    order_id = str(match.kwargs.get("order_id", "")) if match is not None else ""
    return {"key": order_id, "trace": trace if _TRACEPARENT.fullmatch(trace) else ""}


_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
