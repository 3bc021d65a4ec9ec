"""The window's parts, made in threads of their own: the drawing once for all who look, a panel for who asks."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection

from shop.kafka_window import rendering
from shop.kafka_window.state import Window
from shop.kafka_window.watching import Watcher

T = TypeVar("T")
FIRST_SECONDS = 3.0
PANELS_WAITING_MAX = 20
CALM_SECONDS = 0.15
BUSY_SECONDS = 1.0


class Busy(Exception):
    """Too many have asked at once: try again in a moment."""


class Feed:
    """Parts of the page. Used in one event loop."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._drawing = ThreadPoolExecutor(1, thread_name_prefix="window-drawing")
        self._panels = ThreadPoolExecutor(2, thread_name_prefix="window-panel")
        self._waiting = 0
        self._first: asyncio.Future[Window] | None = None
        """Who waits for it waits together."""
        self._made: dict[bool, tuple[int, asyncio.Future[tuple[str, ...]]]] = {}

    async def first(self) -> Window:
        """What is known, once there is something to show; after some seconds in any case."""
        window = self._watcher.look()
        if window.kafka is not None and window.stores is not None:
            return window
        if self._first is None or self._first.done():
            waiting = self._in(self._drawing, self._watcher.wait_complete, FIRST_SECONDS)
            self._first = asyncio.ensure_future(waiting)
        return await asyncio.shield(self._first)

    def pace(self) -> float:
        """Seconds until the next look at what has changed."""
        return CALM_SECONDS if self._watcher.look().written_per_second < 50 else BUSY_SECONDS

    async def parts(self, *, as_table: bool) -> tuple[str, ...]:
        """The drawing, or the tables, as of now, in parts."""
        window = self._watcher.look()
        version, made = self._made.get(as_table, (-1, None))
        if made is None or (version != window.version and made.done()):
            made = asyncio.ensure_future(self._in(self._drawing, _draw, window, as_table))
            self._made[as_table] = (window.version, made)
        return await asyncio.shield(made)

    async def panel(self, query: Mapping[str, str]) -> str:
        """What was asked for beside the drawing.

        Raises:
            Busy: too many have asked.
        """
        if self._waiting >= PANELS_WAITING_MAX:
            raise Busy
        self._waiting += 1
        try:
            return await self._in(self._panels, _panel, query, self._watcher.look())
        finally:
            self._waiting -= 1

    async def _in(self, executor: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


def _draw(window: Window, as_table: bool) -> tuple[str, ...]:
    return rendering.parts(window, as_table=as_table)


def _panel(query: Mapping[str, str], window: Window) -> str:
    try:
        return rendering.panel(query, window)
    finally:
        connection.close()
