"""The websocket of the operations page: the page anew every two seconds, for those who hold a pass.

# Note [One page under way]
A browser that does not read would pile pages up in this process. So each page is a ping, too, and the next one waits
for its answer: at most one page is under way to anybody.
"""

import asyncio
import json
from typing import Any

from shop.live import pushing, requests
from shop.live.operations import http
from shop.live.operations.feed import Feed
from shop.live.pushing import Receive, Send
from shop.operations.pages import passes, rendering

SOCKETS_MAX = 100
EVERY_SECONDS = 2.0
ANSWER_SECONDS = 30.0
PREFIX = "/ops/socket/"


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
        if not requests.may_look(scope, self._checks):
            return pushing.NO_PASS
        if page is None:
            return pushing.NO_SUCH_PAGE
        if self._open > SOCKETS_MAX:
            return pushing.TOO_MANY
        answered = asyncio.Event()
        return await pushing.until_one_ends(
            self._tell(scope, page, send, answered), pushing.listen_for_pongs(receive, answered)
        )

    async def _tell(self, scope: dict[str, Any], page: rendering.Page, send: Send, answered: asyncio.Event) -> int:
        """Send the page again and again; see Note [One page under way]."""
        query, web = http.query_of(scope), requests.web_origin(scope)
        while requests.may_look(scope, self._checks):
            html = await self._feed.fragment(page, query, web=web)
            answered.clear()
            await send({"type": "websocket.send", "text": json.dumps({"type": "page", "ping": True, "html": html})})
            if not await pushing.is_answered(answered, ANSWER_SECONDS):
                return pushing.SILENT
            await asyncio.sleep(EVERY_SECONDS)
        return pushing.NO_PASS
