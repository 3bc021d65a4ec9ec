"""The window on Kafka over HTTP: for everybody in a demo, elsewhere for those who hold a pass."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from shop.kafka_window import rendering, stores
from shop.kafka_window.cards import concepts, questions
from shop.kafka_window.watching import watcher
from shop.live.kafka_window.feed import Busy, Feed
from shop.live.operations import http as ops_http
from shop.live.operations.feed import StaticFiles
from shop.live.operations.http import Answer
from shop.operations.pages import passes

PREFIX = "/kafka/"
_STATIC = f"{PREFIX}static/"
_FILES = (
    *(f"css/{name}.css" for name in rendering.STYLES),
    *(f"js/{name}.js" for name in ("kafka", "kafka_cards", "socket", "morph", "connection", "words")),
    *(f"fonts/{name}.woff2" for name in ("karla", "vollkorn-semibold", "vollkorn-medium-italic")),
    "mark.svg",
)
feed, checks = Feed(watcher), passes.Checks()


class KafkaPages:
    """Answers everything below /kafka/ but the sockets."""

    def __init__(self) -> None:
        self._files = StaticFiles(_FILES)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        status, headers, body = await self._answer(scope)
        await send({"type": "http.response.start", "status": status, "headers": ops_http.encoded(headers)})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: dict[str, Any]) -> Answer:
        path = scope["path"]
        if not ops_http.host_of(scope):
            return self._sentence(400, "That address is not ours", "Open the page by a name of ALLOWED_HOSTS.", scope)
        if scope["method"] not in ("GET", "HEAD"):
            return 405, {"allow": "GET, HEAD"}, b""
        if path == PREFIX.rstrip("/"):
            return 308, {"location": PREFIX}, b""
        if path.startswith(_STATIC):
            return ops_http.file_answer(self._files, path.removeprefix(_STATIC), scope)
        if not may_look(scope):
            sentence = "It is for staff. Open it from the admin, which lets you in for twelve hours."
            return self._sentence(403, "Sign in to see this page", sentence, scope)
        try:
            return await self._page(path, query_of(scope), scope)
        except Busy:
            return self._sentence(503, "Too many look at once", "Try again in a moment.", scope)

    async def _page(self, path: str, query: Mapping[str, str], scope: dict[str, Any]) -> Answer:
        parts: dict[str, Any]
        if path == rendering.CARDS.url:
            asked = questions.questions(await feed.first())
            page, parts = rendering.CARDS, {"cards": concepts.CARDS, "questions": asked}
            parts["can_do"] = settings.KAFKA_PRACTICE
        elif path == f"{PREFIX}panel/":
            return 200, ops_http.page_headers(scope), (await feed.panel(query)).encode()
        elif path == PREFIX:
            await feed.first()
            html = "".join(await feed.parts(as_table=query.get("as") == "table"))
            page = rendering.WINDOW
            parts = {"fragment": rendering.marked(html, stores.as_uuid(query.get("order", "")))}
            parts["panel"] = await feed.panel(query)
        else:
            return self._sentence(404, "There is no such page", "Go to /kafka/.", scope)
        web = ops_http.web_origin(scope)
        whole = rendering.whole(page, query, web=web, version=self._files.version, **parts)
        return 200, ops_http.page_headers(scope, form_action="'self'"), whole.encode()

    def _sentence(self, status: int, heading: str, sentence: str, scope: dict[str, Any]) -> Answer:
        context = {"heading": heading, "sentence": sentence, "status": status, "web": ops_http.web_origin(scope)}
        context |= {"styles": rendering.STYLES, "v": self._files.version}
        return status, ops_http.page_headers(scope), render_to_string("kafka/sentence.html", context).encode()


def may_look(scope: Mapping[str, Any]) -> bool:
    """Whether who asks may see the window."""
    return settings.SHOW_DEMO_HINTS or ops_http.may_look(scope, checks, cookie=passes.WINDOW_COOKIE)


def query_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """What the address says beside the path, as far as the window knows it."""
    return ops_http.query_of(scope, rendering.QUERY_NAMES, rendering.QUERY_LENGTH_MAX)


pages = KafkaPages()
