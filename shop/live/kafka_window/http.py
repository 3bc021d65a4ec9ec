"""The window on Kafka over HTTP: for everybody in a demo, elsewhere for those who hold a pass."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from shop.kafka_window import rendering, stores
from shop.kafka_window.cards import concepts, questions
from shop.kafka_window.watching import watcher
from shop.live import pages as live_pages
from shop.live import requests
from shop.live.kafka_window.feed import Busy, Feed
from shop.live.pages import Answer
from shop.operations.pages import passes

PREFIX = "/kafka/"
SCRIPTS = ("kafka", "kafka_cards", "socket", "morph", "connection", "words")
feed, checks = Feed(watcher), passes.Checks()


class KafkaPages(live_pages.Pages):
    """Answers everything below /kafka/ but the sockets."""

    prefix = PREFIX
    sentence_template = "kafka/sentence.html"

    def __init__(self) -> None:
        super().__init__(styles=rendering.STYLES, scripts=SCRIPTS)

    def _may_look(self, scope: Mapping[str, Any]) -> bool:
        return may_look(scope)

    async def _page(self, path: str, scope: dict[str, Any]) -> Answer:
        try:
            return await self._made(path, query_of(scope), scope)
        except Busy:
            return self._sentence(503, "Too many look at once", "Try again in a moment.", scope)

    async def _made(self, path: str, query: Mapping[str, str], scope: dict[str, Any]) -> Answer:
        parts: dict[str, Any]
        if path == rendering.CARDS.url:
            asked = questions.questions(await feed.first())
            page, parts = rendering.CARDS, {"cards": concepts.CARDS, "questions": asked}
            parts["can_do"] = settings.KAFKA_PRACTICE
        elif path == f"{PREFIX}panel/":
            return 200, live_pages.page_headers(scope), (await feed.panel(query)).encode()
        elif path == PREFIX:
            await feed.first()
            html = "".join(await feed.parts(as_table=query.get("as") == "table"))
            page = rendering.WINDOW
            parts = {"fragment": rendering.marked(html, stores.as_uuid(query.get("order", "")))}
            parts["panel"] = await feed.panel(query)
        else:
            return self._sentence(404, "There is no such page", "Go to /kafka/.", scope)
        web = requests.web_origin(scope)
        whole = rendering.whole(page, query, web=web, version=self._files.version, **parts)
        return 200, live_pages.page_headers(scope, form_action="'self'"), whole.encode()


def may_look(scope: Mapping[str, Any]) -> bool:
    """Whether who asks may see the window."""
    return settings.SHOW_DEMO_HINTS or requests.may_look(scope, checks, cookie=passes.WINDOW_COOKIE)


def query_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """What the address says beside the path, as far as the window knows it."""
    return requests.query_of(scope, rendering.QUERY_NAMES, rendering.QUERY_LENGTH_MAX)


pages = KafkaPages()
