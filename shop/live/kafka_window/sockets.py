"""The websockets of the window on Kafka: the drawing whenever it has changed, and the cards' verdicts.

# Note [One drawing under way]
A browser that does not read would pile drawings up in this process. So each drawing is a ping, too, and the next one
waits for its answer. A page may say only so much (`LIVE_MESSAGES_PER_SECOND`), so the first dozens of changes come at
once, and after them about one a second. All who look share one drawing, and are sent only those of its parts that have
changed.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from shop.kafka_window import rendering, stores
from shop.kafka_window.cards import playing
from shop.live import pushing
from shop.live.kafka_window import http
from shop.live.pushing import Receive, Send, Side

SOCKETS_MAX = 100
QUIET_SECONDS = 5.0
"""So long after the last word a page is told that all is well."""
_SHARE = 0.7
"""Of what a page may say."""
ANSWER_SECONDS = 30.0

_open = 0


async def watch(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve `/kafka/socket/`: the drawing (or the tables) as it changes, an order's messages marked.

    Close codes: 4400 invalid message, 4403 no pass (any more), 4408 a ping was not answered, 4429 too many look.
    """
    answered = asyncio.Event()
    await _serve(
        scope, receive, send, lambda: (pushing.listen_for_pongs(receive, answered), _tell(scope, send, answered))
    )


async def play(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve `/kafka/cards/socket/`: does what a card offers and says what the broker said. The same close codes."""
    asked: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
    await _serve(scope, receive, send, lambda: (_listen_for_cards(receive, asked), _do_cards(send, asked)))


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
    if not http.may_look(scope):
        return pushing.NO_PASS
    if _open > SOCKETS_MAX:
        return pushing.TOO_MANY
    return await pushing.until_one_ends(*sides())


# -- The window -------------------------------------------------------------------------------------------
async def _tell(scope: dict[str, Any], send: Send, answered: asyncio.Event) -> int:
    """Send the drawing as it changes; see Note [One drawing under way]."""
    query, now = http.query_of(scope), asyncio.get_running_loop().time
    order_id, as_table = stores.as_uuid(query.get("order", "")), query.get("as") == "table"
    await http.feed.first()
    in_parts, said_at, allowance = "parts" in query, 0.0, _Allowance()
    shown: tuple[str, ...] = ()
    answered.set()
    while http.may_look(scope):
        drawn = await http.feed.parts(as_table=as_table)
        if drawn != shown or now() - said_at > QUIET_SECONDS:
            if not await pushing.is_answered(answered, ANSWER_SECONDS):
                return pushing.SILENT
            answered.clear()
            message: dict[str, Any] = {"type": "window", "ping": True}
            if drawn != shown:
                message |= _changes(shown, drawn, order_id) if in_parts else _whole(drawn, order_id)
            await send({"type": "websocket.send", "text": json.dumps(message)})
            shown, said_at = drawn, now()
            await asyncio.sleep(allowance.take(now()))
        await asyncio.sleep(http.feed.pace())
    return pushing.NO_PASS


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
            return pushing.NOT_UNDERSTOOD
        if asked.full():
            return pushing.TOO_MANY
        asked.put_nowait(card)


def _card_in(text: str | None) -> str:
    """The card that a message names; empty where it names none."""
    try:
        content = json.loads(text or "")
    except (ValueError, RecursionError):
        return ""
    card = content.get("do") if isinstance(content, dict) else None
    return card if isinstance(card, str) and card in playing.ACTS else ""
