"""The websocket of an order's page."""

import asyncio
import contextlib
import logging
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
import redis
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth import aget_user
from django.http import HttpRequest

from kafka_bridge.telemetry import tracing
from orders import links, live, queries
from orders.models import Order

log = logging.getLogger(__name__)
# Only codes from 4000 on are an application's own to send (RFC 6455, section 7.4.2).
NOT_UNDERSTOOD = 4400
LOGGED_OUT = 4401
NOT_FOUND = 4404
NO_REDIS = 4503
PING_SECONDS = 25.0
RENEW_SECONDS = 5.0
FRAME_BYTES = 4096


class OrderStatusSocket(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Sends the order's snapshot on connect and whenever the order changed.

    Close codes: 4400 that was no message of ours, 4401 the session ended, 4404 no such order for this visitor (the same
    whether it exists or not), 4503 Redis cannot be reached.
    """

    order_id: UUID

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection; without Redis there is none, and the page asks over HTTP until it is back."""
        try:
            await super().__call__(scope, receive, send)
        except (redis.RedisError, OSError) as error:
            log.warning("a socket was closed because Redis cannot be reached: %s", error)
            await send({"type": "websocket.close", "code": NO_REDIS})

    async def connect(self) -> None:
        """Let in the owner, staff, and holders of the signed link; everybody else hears that there is nothing here."""
        self.order_id = self.scope["url_route"]["kwargs"]["order_id"]
        self._tasks: list[asyncio.Task[None]] = []
        self._session_key = ""
        await self.accept()
        if not await self._may_see():
            await self.close(NOT_FOUND)
            return
        # Join first, then read: a change in between is then pushed, not missed.
        await self.channel_layer.group_add(live.order_group(self.order_id), self.channel_name)
        if self._session_key:
            await self.channel_layer.group_add(live.session_group(self._session_key), self.channel_name)
        await sync_to_async(live.watch)(self.order_id)
        await self._send_snapshot()
        self._tasks.append(asyncio.create_task(self._keep_alive()))

    async def disconnect(self, code: int) -> None:
        """Leave the groups."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(redis.RedisError, OSError):
            await self.channel_layer.group_discard(live.order_group(self.order_id), self.channel_name)
            if self._session_key:
                await self.channel_layer.group_discard(live.session_group(self._session_key), self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        """Take small JSON objects only; anything else ends the connection."""
        if text_data is None or len(text_data) > FRAME_BYTES:
            await self.close(NOT_UNDERSTOOD)
            return
        try:
            content = await self.decode_json(text_data)
        except ValueError:
            await self.close(NOT_UNDERSTOOD)
            return
        if isinstance(content, dict) and content.get("type") == "resync":
            await self._send_snapshot()

    async def order_changed(self, message: dict[str, str]) -> None:
        """The order moved: send it."""
        parent = live.parent_in(message) or tracing.of_beginning(self.order_id)
        with tracing.timed("push to page", "INTERNAL", self.order_id, parent, {}):
            await self._send_snapshot()

    async def session_ended(self, _: dict[str, str]) -> None:
        """The visitor signed out."""
        await self.close(LOGGED_OUT)

    async def _keep_alive(self) -> None:
        """Renew the watch, look again when pushes may have been lost, and find connections that are dead or over."""
        in_step, silent_seconds = True, 0.0
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            silent_seconds += RENEW_SECONDS
            try:
                known = await sync_to_async(live.watch)(self.order_id)
            except (redis.RedisError, OSError):
                in_step = False
                continue
            if not (known and in_step):
                await self._send_snapshot()
                in_step = True
            if silent_seconds >= PING_SECONDS:
                silent_seconds = 0.0
                if not await self._may_see():
                    await self.close(LOGGED_OUT)
                    return
                await self._send_snapshot()
                await self.send_json({"type": "ping"})

    async def _send_snapshot(self) -> None:
        found = await database_sync_to_async(queries.snapshot)(self.order_id)
        if found is None:
            await self.close(NOT_FOUND)
        else:
            await self.send_json({"type": "snapshot", **msgspec.to_builtins(found)})

    async def _may_see(self) -> bool:
        order = await Order.objects.filter(pk=self.order_id).afirst()
        key = parse_qs(self.scope["query_string"].decode(errors="replace")).get("key", [""])[0]
        user = await self._fresh_user()
        return order is not None and await database_sync_to_async(links.may_see)(order=order, user=user, key=key)

    async def _fresh_user(self) -> Any:
        """Who the session belongs to now, not when the socket was opened."""
        session = self.scope["session"]
        self._session_key = session.session_key or ""
        request = HttpRequest()
        request.session = type(session._wrapped)(self._session_key) if hasattr(session, "_wrapped") else session
        return await aget_user(request)
