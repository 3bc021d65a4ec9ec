"""The websocket for live availability. Public: it causes no session look-up, no query and no call to Redis."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from shop.live import live_stock
from shop.live.conversation import NOT_UNDERSTOOD, Conversation, Receive, Send

SKUS_MAX = 60


async def watch_stock(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Serve one connection to `/live/stock/?sku=...&sku=...`: first the state of its books, then what changes.

    Close codes: 4400 invalid message (or query), 4404 the shop has none of these books, 4408 a ping was not answered.
    """
    await receive()
    await send({"type": "websocket.accept"})
    skus = _skus(scope["query_string"])
    code = NOT_UNDERSTOOD
    if skus:
        with live_stock.board.seat(skus) as seat:
            code = await Conversation(receive, send, pause_seconds=live_stock.POLL_SECONDS).hold(seat)
    if code:
        await send({"type": "websocket.close", "code": code})


def _skus(query: bytes) -> set[str]:
    """The skus in the query string; none if there are too many, or if it is invalid."""
    try:
        found = parse_qs(query.decode("ascii"), max_num_fields=SKUS_MAX, strict_parsing=True)
    except ValueError:
        return set()
    return set(found["sku"]) if found.keys() == {"sku"} else set()
