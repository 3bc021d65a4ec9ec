"""The websocket of the operations page: the page anew every two seconds, for those who hold a pass.

# Note [One page under way]
A browser that does not read would pile pages up in this process. So each page is a ping, too, and the next one waits
for its answer: at most one page is under way to anybody.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shop.live.operations import http as ops_http
from shop.live.operations.feed import Feed
from shop.operations.pages import passes, rendering

# Codes from 4000 on are for applications (RFC 6455, section 7.4.2).
NOT_UNDERSTOOD = 4400
NO_PASS = 4403
NO_SUCH_PAGE = 4404
SILENT = 4408
TOO_MANY = 4429
SOCKETS_MAX = 100
EVERY_SECONDS = 2.0
ANSWER_SECONDS = 30.0
PREFIX = "/ops/socket/"

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class OpsSockets:
    """Serves connections to `/ops/socket/` and `/ops/socket/<page>/`.

    Close codes: 4400 invalid message, 4403 no pass (any more), 4404 no such page, 4408 a ping was not answered, 4429
    too many look at it already.
    """

    def __init__(self, feed: Feed, checks: passes.Checks) -> None:
        self._feed, self._checks, self._open = feed, checks, 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self._open += 1
        try:
            code = await self._serve(scope, receive, send)
        finally:
            self._open -= 1
        if code:
            await send({"type": "websocket.close", "code": code})

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> int:
        page = rendering.find(scope["path"].removeprefix(PREFIX).removesuffix("/"))
        if not ops_http.may_look(scope, self._checks):
            return NO_PASS
        if page is None:
            return NO_SUCH_PAGE
        if self._open > SOCKETS_MAX:
            return TOO_MANY
        answered = asyncio.Event()
        sides = [
            asyncio.create_task(self._tell(scope, page, send, answered)),
            asyncio.create_task(_listen(receive, answered)),
        ]
        try:
            done, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            return max(side.result() for side in done)
        finally:
            for side in sides:
                side.cancel()

    async def _tell(self, scope: dict[str, Any], page: rendering.Page, send: Send, answered: asyncio.Event) -> int:
        """Send the page again and again; see Note [One page under way]."""
        query, web = ops_http.query_of(scope), ops_http.web_origin(scope)
        while ops_http.may_look(scope, self._checks):
            html = await self._feed.fragment(page, query, web=web)
            answered.clear()
            await send({"type": "websocket.send", "text": json.dumps({"type": "page", "ping": True, "html": html})})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await answered.wait()
            if not answered.is_set():
                return SILENT
            await asyncio.sleep(EVERY_SECONDS)
        return NO_PASS


async def _listen(receive: Receive, answered: asyncio.Event) -> int:
    """Receive pongs; anything else ends the connection."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return 0
        if message.get("text") != '{"type":"pong"}':
            return NOT_UNDERSTOOD
        answered.set()
