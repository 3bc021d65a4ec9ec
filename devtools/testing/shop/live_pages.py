"""Open pages that watch the stock of books, without a browser."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from shop.live import sockets
from shop.models import Book

PATIENCE_SECONDS = 10


class Page:
    """An open page: the messages that came, and when."""

    def __init__(self, *skus: str, answers: bool = True, query: str = "") -> None:
        self._query = query or "&".join(f"sku={sku}" for sku in skus)
        self._answers = answers
        self._frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.messages: list[dict[str, Any]] = []
        self.came_at: list[float] = []
        self.closed_with: int | None = None
        self._is_accepted = self._is_closed = False

    async def open(self, origin: str = "http://testserver") -> "Page":
        """Connect as Daphne does it."""
        headers = [(b"host", b"testserver"), (b"origin", origin.encode())]
        scope = {"type": "websocket", "path": "/live/stock/", "query_string": self._query.encode(), "headers": headers}
        self._frames.put_nowait({"type": "websocket.connect"})
        self._connection = asyncio.ensure_future(sockets.application(scope, self._frames.get, self._hear))
        return self

    async def say(self, text: str | None = None, data: bytes | None = None) -> None:
        """Send a frame."""
        self._frames.put_nowait({"type": "websocket.receive", "text": text, "bytes": data})

    async def leave(self) -> None:
        """Close the page."""
        self._frames.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await self._connection

    async def until(self, condition: Callable[[], object], timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for something to be true of this page."""
        await until(condition, timeout_seconds, lambda: f"{self.messages[-3:]}")

    async def shows(self, book: Book, left: int | None) -> None:
        """Wait until the page says that so many are left."""
        await self.until(lambda: self.left(book) == left)

    @property
    def is_denied(self) -> bool:
        """Whether it was not even let in."""
        return self._is_closed and not self._is_accepted

    @property
    def books(self) -> dict[str, Any]:
        """What the page shows."""
        shown: dict[str, Any] = {}
        for message in self.messages:
            shown |= message.get("books", {})
        return shown

    def left(self, book: Book) -> int | None:
        """Units that the page says are left."""
        left: int | None = self.books.get(book.isbn, {}).get("left")
        return left

    async def _hear(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.accept":
            self._is_accepted = True
        if event["type"] == "websocket.close":
            self.closed_with = event.get("code")
            self._is_closed = True
        if event["type"] != "websocket.send":
            return
        message = json.loads(event["text"])
        if message["type"] != "ping":
            self.messages.append(message)
            self.came_at.append(time.monotonic())
        elif self._answers:
            await self.say('{"type": "pong"}')


async def until(
    condition: Callable[[], object], timeout_seconds: float = PATIENCE_SECONDS, describe: Callable[[], str] = str
) -> None:
    """Wait for a condition, letting the loop run."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true; last seen: {describe()}"
        await asyncio.sleep(0.01)
