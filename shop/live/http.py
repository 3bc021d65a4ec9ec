"""Plain HTTP on the sockets' port: health checks, metrics, the operations page and the window on Kafka.

Nothing else is there that could keep this process from its sockets.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from shop.live.kafka_window import http as kafka_http
from shop.live.operations import http as ops_http
from shop.live.operations import page as ops
from shop.site import problems

Application = Callable[[dict[str, Any], Any, Any], Awaitable[Any]]
PATHS = ("/healthz", "/readyz", "/metrics")
OPS_PATHS = ("/ops/", "/ops/<page>/", "/ops/static/<file>")
KAFKA_PATHS = ("/kafka/", "/kafka/cards/", "/kafka/panel/", "/kafka/static/<file>")


class FewPages:
    """Passes health checks and the question for metrics on, shows these pages; everything else is a 404."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if scope["path"] in PATHS:
            return await self._application(scope, receive, send)
        if scope["path"].startswith(ops_http.PREFIX) or scope["path"] == ops_http.PREFIX.rstrip("/"):
            return await ops.pages(scope, receive, send)
        if scope["path"].startswith(kafka_http.PREFIX) or scope["path"] == kafka_http.PREFIX.rstrip("/"):
            return await kafka_http.pages(scope, receive, send)
        problem = problems.Problem(404, "not_found", "Only live updates are here; the shop is at its own address.")
        headers = [(b"content-type", problems.CONTENT_TYPE.encode())]
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": problem.body()})
        return None
