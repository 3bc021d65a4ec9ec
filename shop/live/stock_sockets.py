"""The websocket for live availability. Public: it causes no session look-up, no query and no call to Redis."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from shop.live import live_stock

# Codes from 4000 on are for applications (RFC 6455, section 7.4.2).
NOT_UNDERSTOOD = 4400
NO_SUCH_BOOK = 4404
SILENT = 4408
SKUS_MAX = 60
FRAME_BYTES = 4096
PING_SECONDS = 10.0
ANSWER_SECONDS = 30.0

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def watch_stock(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Serve one connection to `/live/stock/?sku=...&sku=...`: first the state of its books, then what changes.

    Close codes: 4400 invalid message (or query), 4404 the shop has none of these books, 4408 a ping was not answered.
    """
    await receive()
    await send({"type": "websocket.accept"})
    skus = _skus(scope["query_string"])
    code = await _Conversation(receive, send).hold(skus) if skus else NOT_UNDERSTOOD
    if code:
        await send({"type": "websocket.close", "code": code})


class _Conversation:
    """The messages of one connection.

    Daphne buffers without limit what we send to a page that does not read. So a ping goes out from time to time, and
    until the page has answered, changes are only marked in its subscription, where the latest state replaces the rest.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._answered = asyncio.Event()

    async def hold(self, skus: set[str]) -> int:
        """Serve until one side ends it; returns the close code, or 0 if the page has disconnected."""
        with live_stock.board.seat(skus) as seat:
            sides = [asyncio.create_task(self._tell(seat)), asyncio.create_task(self._listen())]
            try:
                done, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
                return max(side.result() for side in done)
            finally:
                for side in sides:
                    side.cancel()

    async def _tell(self, seat: live_stock.Seat) -> int:
        """Send what is new, no faster than the board polls."""
        now = asyncio.get_running_loop().time
        ping_at = now() + PING_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(ping_at):
                    await seat.news.wait()
            if seat.news.is_set():
                if not (message := seat.take()):
                    return NO_SUCH_BOOK
                await self._say(message)
                await asyncio.sleep(live_stock.POLL_SECONDS)
            if now() >= ping_at:
                if not await self._ask():
                    return SILENT
                ping_at = now() + PING_SECONDS

    async def _ask(self) -> bool:
        """Send a ping; whether the page has read everything up to it."""
        self._answered.clear()
        await self._say(b'{"type":"ping"}')
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._answered.wait()
        return self._answered.is_set()

    async def _listen(self) -> int:
        """Receive pongs; anything else ends the connection."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return 0
            if not _is_pong(message.get("text")):
                return NOT_UNDERSTOOD
            self._answered.set()

    async def _say(self, message: bytes) -> None:
        await self._send({"type": "websocket.send", "text": message.decode()})


def _skus(query: bytes) -> set[str]:
    """The skus in the query string; none if there are too many, or if it is invalid."""
    try:
        found = parse_qs(query.decode("ascii"), max_num_fields=SKUS_MAX, strict_parsing=True)
    except ValueError:
        return set()
    return set(found["sku"]) if found.keys() == {"sku"} else set()


def _is_pong(text: str | None) -> bool:
    if text is None or len(text) > FRAME_BYTES:
        return False
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("type") in ("ping", "pong")
