"""What is said on a public socket: news, no faster than they are looked for, and pings.

Daphne buffers without limit what we send to a page that does not read. So a ping goes out from time to time, and until
the page has answered, news are only marked in its seat, where the latest state replaces the rest.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

# Codes from 4000 on are for applications (RFC 6455, section 7.4.2).
NOT_UNDERSTOOD = 4400
NOTHING_THERE = 4404
SILENT = 4408
FRAME_BYTES = 4096
PING_SECONDS = 10.0
ANSWER_SECONDS = 30.0

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Seat(Protocol):
    """A page's subscription."""

    news: asyncio.Event

    def take(self) -> bytes:
        """What is new; empty if there is nothing of what the page asks for."""


class Conversation:
    """The messages of one connection."""

    def __init__(self, receive: Receive, send: Send, *, pause_seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._pause_seconds = pause_seconds
        self._answered = asyncio.Event()

    async def hold(self, seat: Seat) -> int:
        """Serve until one side ends it; returns the close code, or 0 if the page has disconnected."""
        sides = [asyncio.create_task(self._tell(seat)), asyncio.create_task(self._listen())]
        try:
            done, _ = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            return max(side.result() for side in done)
        finally:
            for side in sides:
                side.cancel()

    async def _tell(self, seat: Seat) -> int:
        """Send what is new, no faster than it is looked for."""
        now = asyncio.get_running_loop().time
        ping_at = now() + PING_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(ping_at):
                    await seat.news.wait()
            if seat.news.is_set():
                if not (message := seat.take()):
                    return NOTHING_THERE
                await self._say(message)
                await asyncio.sleep(self._pause_seconds)
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


def _is_pong(text: str | None) -> bool:
    if text is None or len(text) > FRAME_BYTES:
        return False
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("type") in ("ping", "pong")
