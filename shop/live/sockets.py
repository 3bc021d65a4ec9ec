"""The websocket routes, which origins may open them, and how many."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.urls import path, re_path

from kafka_bridge.telemetry import activity, metrics
from orders.sockets import OrderStatusSocket
from shop.live import requests, stock_sockets
from shop.live.kafka_window import http as kafka_http
from shop.live.kafka_window import sockets as kafka_sockets
from shop.live.operations import http as ops_http
from shop.live.operations import page as ops
from shop.waiting_room import sockets as waiting_room_sockets

OPEN = metrics.gauge("live_sockets_open", "Sockets that are open, to orders and to the stock of sales", by="live")
REFUSED = metrics.counter(
    "live_sockets_refused", "Sockets that were refused, as there were too many, or by origin", ["why"], by="live"
)
Application = Callable[[dict[str, Any], Any, Any], Awaitable[Any]]


class SameOriginOnly:
    """Refuses sockets that a page of another site opens with a visitor's cookies.

    The whole origin counts, scheme and port included (channels' AllowedHostsOriginValidator looks at the host alone),
    and its host must be one of ours: with a name of somebody else's that leads here (DNS rebinding) both have the same.
    A client without an Origin header is not a browser and has no visitor's cookies; only the key of a link admits it.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        origin = requests.header_of(scope, b"origin").lower()
        if origin and origin not in self._allowed(scope):
            REFUSED.labels("origin").inc()
            return await WebsocketDenier()(scope, receive, send)
        return await self._application(scope, receive, send)

    def _allowed(self, scope: dict[str, Any]) -> set[str]:
        is_own_page = scope["path"].startswith((ops_http.PREFIX, kafka_http.PREFIX))
        if settings.LIVE_ORIGINS and not is_own_page:
            return {origin.lower() for origin in settings.LIVE_ORIGINS}
        if not (host := requests.host_of(scope)):
            return set()
        scheme = {"ws": "http", "wss": "https"}[scope.get("scheme", "ws")]
        if settings.BEHIND_TLS:
            scheme = "https"
        return {f"{scheme}://{host}"}


class Capped:
    """Limits the open sockets of this process, and those from one address.

    A kind of socket may be limited to a share of them, so that there is always room for the others.
    """

    def __init__(self, application: Application, *, share: float = 1.0) -> None:
        self._application = application
        self._share = share
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        address = (scope.get("client") or ("",))[0]
        if (
            self._open.total() >= settings.LIVE_SOCKETS_MAX * self._share
            or self._open[address] >= settings.LIVE_SOCKETS_PER_ADDRESS_MAX * self._share
        ):
            REFUSED.labels("too many").inc()
            return await WebsocketDenier()(scope, receive, send)
        self._open[address] += 1
        try:
            return await self._application(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


urlpatterns = [
    path("live/orders/<uuid:order_id>/", AuthMiddlewareStack(OrderStatusSocket.as_asgi())),
    # Availability is public, so no session is read. The share keeps room for buyers who watch their orders.
    path("live/stock/", Capped(stock_sockets.watch_stock, share=0.8)),
    path("live/room/<int:sale_id>/", Capped(waiting_room_sockets.watch_room, share=0.8)),
    path("ops/socket/", ops.sockets),  # type: ignore[arg-type]  # for Django a path leads to a view
    path("ops/socket/<slug:page>/", ops.sockets),  # type: ignore[arg-type]  # see above
    path("kafka/socket/", kafka_sockets.watch),  # type: ignore[arg-type]  # see above
    path("kafka/cards/socket/", kafka_sockets.play),  # type: ignore[arg-type]  # see above
    # Without it, the router raises for every address that a stranger makes up, and the log fills with tracebacks.
    re_path(r"", WebsocketDenier.as_asgi()),
]


class Counted:
    """Counts the sockets that are let in."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        with OPEN.track_inprogress():
            activity.current.progress()
            return await self._application(scope, receive, send)


application = Capped(SameOriginOnly(Counted(URLRouter(urlpatterns))))
