"""The window on Kafka and its sockets, asked by strangers as in a demo, in which everybody may look; on no broker."""

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.conf import settings as django_settings

from devtools.testing.shop import strange_words
from kafka_bridge.runtime import waiting
from shop.kafka_window import watching
from shop.live import http, pushing, sockets
from shop.live.kafka_window import sockets as kafka_sockets

pytestmark = [pytest.mark.security, pytest.mark.django_db(transaction=True)]
OURS = b"127.0.0.1:8001"
PATHS = (
    "/kafka/panel/",
    "/kafka/panel/",
    "/kafka",
    "/kafka/cards",
    "/kafka/nothing/",
    "/kafka/static/",
    "/ops/",
    "/ops/x/",
)
SOCKETS = ("/kafka/socket/", "/kafka/cards/socket/", "/live/stock/", "/ops/socket/", "/ops/socket/x/")


@pytest.fixture(autouse=True)
def _demo(settings: Any) -> None:
    settings.SHOW_DEMO_HINTS, settings.KAFKA_PRACTICE = True, False
    settings.LIVE_SOCKETS_PER_ADDRESS_MAX = settings.LIVE_SOCKETS_MAX


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left() -> Iterator[None]:
    """Once nobody looks any more, what reads for the window ends by itself; other files begin without it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(watching, "LINGER_SECONDS", 1.0)
        yield
        waiting.until(lambda: not _readers(), what="the end of the window's threads", timeout_seconds=120)


def _readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("window_")]


async def _nobody(scope: dict[str, Any], receive: Any, send: Any) -> None:
    raise AssertionError("Django is not asked for these")


def address(chance: random.Random, paths: tuple[str, ...]) -> str:
    query = "&".join(
        f"{name}={value}" for name, value in strange_words.pairs(chance, ("order", "message", "as", "sku"))
    )
    return chance.choice(paths) + ("?" + query.encode(errors="replace").decode("latin-1") if query else "")


@pytest.mark.parametrize("inputs", [150, pytest.param(3_000, marks=pytest.mark.prove)])
def test_whatever_a_stranger_asks_the_window_is_answered(inputs: int) -> None:
    chance = random.Random(21)  # noqa: S311 - the same inputs each time
    pages, wrong = http.FewPages(_nobody), list[Any]()

    async def ask() -> None:
        method = chance.choice(("GET", "GET", "GET", "HEAD", "POST", "\x00"))
        host = chance.choice((OURS, OURS, OURS, b"evil.example", b"", b"\xff"))
        cookie = strange_words.word(chance).encode(errors="replace")[:9000]
        asked = address(chance, PATHS)
        asker = HttpCommunicator(pages, method, asked, headers=[(b"host", host), (b"cookie", cookie)])
        answer = await asker.get_response(timeout=60)
        is_safe = b"<script>alert" not in answer["body"] and len(answer["body"]) < 100_000
        expected = answer["status"] in (200, 304, 308, 400, 403, 404, 405, 503)
        if host != OURS and answer["status"] not in (400, 404):
            expected = False
        if not expected or not is_safe:
            wrong.append((answer["status"], method, host, asked[:300]))

    async def ask_all() -> None:
        for _ in range(inputs):
            await ask()

    asyncio.run(ask_all())
    assert not wrong


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (OURS, b"http://evil.example"),
        (OURS, b"https://127.0.0.1:8001"),
        (OURS, b"null"),
        # A name of the attacker's that leads to this machine (DNS rebinding): for the browser it is one origin.
        (b"evil.example:8001", b"http://evil.example:8001"),
        (b"", b"http://"),
    ],
)
def test_a_page_of_another_site_opens_no_socket(path: str, host: bytes, origin: bytes) -> None:
    async def story() -> bool:
        asker = WebsocketCommunicator(sockets.application, path, headers=[(b"host", host), (b"origin", origin)])
        return bool((await asker.connect(timeout=30))[0])

    assert asyncio.run(story()) is False


MESSAGES = (
    "{}", "[]", "null", "0", '"', '{"type":"pong"} ', '{"do":"kafka"}', '{"do":["a"]}', '{"do":{"a":1}}', "[" * 4000,
    '{"do":' * 600, '{"type":"resync"}', '{"type":"pong","x":1}', "\ud83d\ude00" * 10, "\x00", b"\xff",
    b'{"type":"pong"}',
)  # fmt: skip


@pytest.mark.parametrize("path", SOCKETS[:2])
def test_words_that_a_socket_does_not_know_end_it(path: str) -> None:
    async def ended(message: str | bytes) -> int:
        asker = WebsocketCommunicator(
            sockets.application, path, headers=[(b"host", OURS), (b"origin", b"http://" + OURS)]
        )
        assert (await asker.connect(timeout=30))[0]
        await asker.send_input({"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message})
        while (told := await asker.receive_output(timeout=60))["type"] != "websocket.close":
            pass
        return int(told["code"])

    async def story() -> set[int]:
        return {await ended(message) for message in MESSAGES}

    assert asyncio.run(story()) == {4400}
    assert django_settings.KAFKA_PRACTICE is False


def test_who_never_answers_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """One drawing is sent, and no second one until it was read."""
    monkeypatch.setattr(kafka_sockets, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(kafka_sockets, "QUIET_SECONDS", 0.1)

    async def story() -> tuple[list[str], int]:
        headers = [(b"host", OURS), (b"origin", b"http://" + OURS)]
        asker = WebsocketCommunicator(sockets.application, "/kafka/socket/", headers=headers)
        assert (await asker.connect(timeout=30))[0]
        sent = []
        while (told := await asker.receive_output(timeout=60))["type"] == "websocket.send":
            sent.append(json.loads(told["text"])["type"])
        return sent, int(told["code"])

    assert asyncio.run(story()) == (["window"], pushing.SILENT)
