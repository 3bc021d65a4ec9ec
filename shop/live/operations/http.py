"""The operations page over HTTP."""

from collections.abc import Mapping
from typing import Any

from shop.live import pages, requests
from shop.live.operations.feed import Feed
from shop.live.pages import Answer
from shop.operations.pages import passes, rendering

PREFIX = "/ops/"
SCRIPTS = ("ops", "socket", "morph", "connection", "words")


class Ops(pages.Pages):
    """Answers everything below /ops/ but the sockets, to those who hold a pass."""

    prefix = PREFIX
    sentence_template = "ops/message.html"

    def __init__(self, feed: Feed, checks: passes.Checks) -> None:
        super().__init__(styles=rendering.STYLES, scripts=SCRIPTS)
        self._feed, self._checks = feed, checks

    def _may_look(self, scope: Mapping[str, Any]) -> bool:
        return requests.may_look(scope, self._checks)

    async def _page(self, path: str, scope: dict[str, Any]) -> Answer:
        page = rendering.find(path.removeprefix(PREFIX).removesuffix("/"))
        if page is None or page.url != path:
            return self._sentence(404, "There is no such page", "Go to the overview.", scope)
        web = requests.web_origin(scope)
        inner = await self._feed.fragment(page, query_of(scope), web=web)
        whole = rendering.whole(page, inner, web=web, version=self._files.version)
        return 200, pages.page_headers(scope), whole.encode()


def query_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """What the address says beside the path, as far as pages know it."""
    return requests.query_of(scope, rendering.QUERY_NAMES, rendering.QUERY_LENGTH_MAX)
