"""The websocket of a waiting room. Public: it says the same to everybody, and asks for no session."""

from collections.abc import Mapping
from typing import Any

from shop.live.conversation import Conversation, Receive, Send
from shop.waiting_room import feeds


async def watch_room(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Serve one connection to `/live/room/<sale>/`: first how the queue stands, then what changes.

    Close codes: 4400 invalid message, 4404 the sale has no waiting room, 4408 a ping was not answered.
    """
    await receive()
    await send({"type": "websocket.accept"})
    with feeds.feed_of(scope["url_route"]["kwargs"]["sale_id"]).seat() as seat:
        code = await Conversation(receive, send, pause_seconds=feeds.LOOK_SECONDS).hold(seat)
    if code:
        await send({"type": "websocket.close", "code": code})
