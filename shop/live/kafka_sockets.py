"""The websockets of the window on Kafka: the drawing whenever it has changed, and the cards' verdicts.

# Note [Few under way]
A browser that does not read would pile drawings up in this process. So one drawing in so many seconds is a ping, too,
and where that is not answered before the next one is due, nothing more is sent until it is.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from django.conf import settings

from shop.kafka_window import rendering, stores
from shop.kafka_window.cards import playing
from shop.live import kafka_http

# Codes from 4000 on are for applications (RFC 6455, section 7.4.2).
NOT_UNDERSTOOD = 4400
NO_PASS = 4403
SILENT = 4408
TOO_MANY = 4429
SOCKETS_MAX = 100
PING_SECONDS = 1.5
"""A page may answer about once a second; see LIVE_MESSAGES_PER_SECOND."""
ANSWER_SECONDS = 30.0

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
_open = 0


async def watch(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve `/kafka/socket/`: the drawing (or the tables) as it changes, an order's messages marked.

    Close codes: 4400 invalid message, 4403 no pass (any more), 4408 a ping was not answered, 4429 too many look.
    """
    answered = asyncio.Event()
    await _serve(scope, receive, send, lambda: (_listen(receive, answered), _tell(scope, send, answered)))


async def play(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve `/kafka/cards/socket/`: does what a card offers and says what the broker said. The same close codes."""
    asked: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
    await _serve(scope, receive, send, lambda: (_listen_for_cards(receive, asked), _do_cards(send, asked)))


Side = Coroutine[Any, Any, int]


async def _serve(scope: dict[str, Any], receive: Receive, send: Send, sides: Callable[[], tuple[Side, Side]]) -> None:
    global _open
    await receive()
    await send({"type": "websocket.accept"})
    _open += 1
    try:
        code = await _until_one_ends(scope, sides)
    finally:
        _open -= 1
    if code:
        await send({"type": "websocket.close", "code": code})


async def _until_one_ends(scope: Mapping[str, Any], sides: Callable[[], tuple[Side, Side]]) -> int:
    """The code with which one of the two sides has ended, or with which they cannot begin."""
    if not kafka_http.may_look(scope):
        return NO_PASS
    if _open > SOCKETS_MAX:
        return TOO_MANY
    tasks = [asyncio.create_task(side) for side in sides()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return max(task.result() for task in done)
    finally:
        for task in tasks:
            task.cancel()


# -- The window -------------------------------------------------------------------------------------------
async def _tell(scope: dict[str, Any], send: Send, answered: asyncio.Event) -> int:
    """Send the drawing as it changes; see Note [Few under way]."""
    query, now = kafka_http.query_of(scope), asyncio.get_running_loop().time
    order_id, as_table = stores.as_uuid(query.get("order", "")), query.get("as") == "table"
    await kafka_http.feed.first()
    shown, ping_at = "", 0.0
    answered.set()
    while kafka_http.may_look(scope):
        html = await kafka_http.feed.fragment(as_table=as_table)
        is_ping = now() >= ping_at
        if is_ping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await answered.wait()
            if not answered.is_set():
                return SILENT
            answered.clear()
            ping_at = now() + PING_SECONDS
        if html != shown or is_ping:
            message = {"type": "window", "ping": is_ping}
            if html != shown:
                message["html"] = rendering.marked(html, order_id)
            shown = html
            await send({"type": "websocket.send", "text": json.dumps(message)})
        await asyncio.sleep(kafka_http.feed.pace())
    return NO_PASS


async def _listen(receive: Receive, answered: asyncio.Event) -> int:
    """Receive pongs; anything else ends the connection."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return 0
        if message.get("text") != '{"type":"pong"}':
            return NOT_UNDERSTOOD
        answered.set()


# -- The cards --------------------------------------------------------------------------------------------
async def _do_cards(send: Send, asked: asyncio.Queue[str]) -> int:
    while True:
        card = await asked.get()
        found = await playing.play(card)
        await send({"type": "websocket.send", "text": json.dumps({"type": "verdict", "card": card, **found})})


async def _listen_for_cards(receive: Receive, asked: asyncio.Queue[str]) -> int:
    """Receive the names of cards to do, one at a time."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return 0
        card = _card_in(message.get("text"))
        if not card or not settings.KAFKA_PRACTICE:
            return NOT_UNDERSTOOD
        if asked.full():
            return TOO_MANY
        asked.put_nowait(card)


def _card_in(text: str | None) -> str:
    """The card that a message names; empty where it names none."""
    try:
        content = json.loads(text or "")
    except (ValueError, RecursionError):
        return ""
    card = content.get("do") if isinstance(content, dict) else None
    return card if isinstance(card, str) and card in playing.ACTS else ""
