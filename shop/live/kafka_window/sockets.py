"""The websockets of the window on Kafka: the drawing whenever it has changed, and the cards' verdicts.

# Note [One drawing under way]
A browser that does not read would pile drawings up in this process. So each drawing is a ping, too, and the next one
waits for its answer. A page may say only so much (`LIVE_MESSAGES_PER_SECOND`), so the first dozens of changes come at
once, and after them about one a second. All who look share one drawing, and are sent only those of its parts that have
changed.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from shop.kafka_window import rendering, stores
from shop.kafka_window.cards import playing
from shop.live.kafka_window import http as kafka_http

# Codes from 4000 on are for applications (RFC 6455, section 7.4.2).
NOT_UNDERSTOOD = 4400
NO_PASS = 4403
SILENT = 4408
TOO_MANY = 4429
SOCKETS_MAX = 100
QUIET_SECONDS = 5.0
"""So long after the last word a page is told that all is well."""
_SHARE = 0.7
"""Of what a page may say."""
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
    """Send the drawing as it changes; see Note [One drawing under way]."""
    query, now = kafka_http.query_of(scope), asyncio.get_running_loop().time
    order_id, as_table = stores.as_uuid(query.get("order", "")), query.get("as") == "table"
    await kafka_http.feed.first()
    in_parts, said_at, allowance = "parts" in query, 0.0, _Allowance()
    shown: tuple[str, ...] = ()
    answered.set()
    while kafka_http.may_look(scope):
        drawn = await kafka_http.feed.parts(as_table=as_table)
        if drawn != shown or now() - said_at > QUIET_SECONDS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await answered.wait()
            if not answered.is_set():
                return SILENT
            answered.clear()
            message: dict[str, Any] = {"type": "window", "ping": True}
            if drawn != shown:
                message |= _changes(shown, drawn, order_id) if in_parts else _whole(drawn, order_id)
            await send({"type": "websocket.send", "text": json.dumps(message)})
            shown, said_at = drawn, now()
            await asyncio.sleep(allowance.take(now()))
        await asyncio.sleep(kafka_http.feed.pace())
    return NO_PASS


def _changes(shown: Sequence[str], drawn: Sequence[str], order_id: UUID | None) -> dict[str, Any]:
    """The parts that are not as they were, by their places, and how many there are now."""
    new = {
        number: rendering.marked(part, order_id)
        for number, part in enumerate(drawn)
        if number >= len(shown) or part != shown[number]
    }
    return {"parts": new, "count": len(drawn)}


def _whole(drawn: Sequence[str], order_id: UUID | None) -> dict[str, Any]:
    """For a page that was opened before there were parts."""
    return {"html": rendering.marked("".join(drawn), order_id)}


class _Allowance:
    """How soon a page may be sent the next drawing: it answers each, and is cut off if it says too much."""

    def __init__(self) -> None:
        self._left, self._at = settings.LIVE_MESSAGES_MAX * _SHARE, 0.0

    def take(self, now: float) -> float:
        """One more is sent; seconds to wait before the next one."""
        per_second, most = settings.LIVE_MESSAGES_PER_SECOND * _SHARE, settings.LIVE_MESSAGES_MAX * _SHARE
        self._left = min(most, self._left + (now - self._at) * per_second) - 1
        self._at = now
        return 0.0 if self._left >= 1 else (1 - self._left) / per_second


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
