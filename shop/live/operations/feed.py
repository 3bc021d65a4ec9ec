"""The operations page's fragments, made in a thread of their own: once for all who look, at most once a second each."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from shop.operations.pages import rendering
from shop.operations.pages.rendering import Page
from shop.operations.pages.state import State

FRESH_SECONDS = 1.0
KEPT_MAX = 100


class Feed:
    """Fragments of pages. Used in one event loop."""

    def __init__(self, read: Callable[[], State]) -> None:
        self._read = read
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ops-pages")
        self._made: dict[tuple[str, ...], tuple[float, asyncio.Future[str]]] = {}

    async def fragment(self, page: Page, query: Mapping[str, str], *, web: str) -> str:
        """The page's changing part as it is now, or was less than a second ago."""
        key = (page.name, web, *(item for pair in sorted(query.items()) for item in pair))
        made_at, made = self._made.get(key, (0.0, None))
        if made is None or (made.done() and time.monotonic() - made_at > FRESH_SECONDS):
            if len(self._made) >= KEPT_MAX:
                self._made.clear()
            made = asyncio.get_running_loop().run_in_executor(self._executor, self._make, page, query, web)
            self._made[key] = (time.monotonic(), made)
        return await asyncio.shield(made)

    def _make(self, page: Page, query: Mapping[str, str], web: str) -> str:
        return rendering.fragment(page, query, self._read(), web=web)
