"""A request's span in the traces of the stories that it had part in; without traces there is no such middleware."""

import re
import time
from collections.abc import Callable

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase

from kafka_bridge.telemetry import tracing

_NO_ROUTE = "none"
# All zeros are no id (W3C Trace Context).
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class RequestTraceMiddleware:
    """Around all that states something."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        if not tracing.is_on():
            raise MiddlewareNotUsed
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer it, and record that in each story in which something was stated."""
        began = time.time()
        with tracing.in_request() as under_way:
            response = self._get_response(request)
        if under_way.begun or under_way.touched:
            _record(under_way, request, response, began)
        return response


def _record(under_way: tracing.Request, request: HttpRequest, response: HttpResponseBase, began: float) -> None:
    match = request.resolver_match
    method = request.method or ""
    # Not the path: the link to an order has its key in it.
    route = f"/{match.route}" if match is not None and match.route else _NO_ROUTE
    given = request.headers.get("traceparent", "")
    attributes: tracing.Attributes = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": response.status_code,
    }
    tracing.record_request(
        under_way,
        f"{method} {route}",
        began,
        attributes,
        error=str(response.status_code) if response.status_code >= 500 else "",
        link=given if _TRACEPARENT.fullmatch(given) else "",
    )
