"""What sockets share that send a page anew whenever it has changed: two sides, pongs, and why they are closed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

# Codes from 4000 on are for applications (RFC 6455, section 7.4.2).
NOT_UNDERSTOOD = 4400
NO_PASS = 4403
NO_SUCH_PAGE = 4404
SILENT = 4408
TOO_MANY = 4429

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Side = Coroutine[Any, Any, int]


async def until_one_ends(*sides: Side) -> int:
    """Run all of them; the close code with which the first one has ended, 0 where the browser has gone."""
    tasks = [asyncio.create_task(side) for side in sides]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return max(task.result() for task in done)
    finally:
        for task in tasks:
            task.cancel()


async def listen_for_pongs(receive: Receive, answered: asyncio.Event) -> int:
    """Note each pong; anything else ends the connection."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return 0
        if message.get("text") != '{"type":"pong"}':
            return NOT_UNDERSTOOD
        answered.set()


async def is_answered(answered: asyncio.Event, within_seconds: float) -> bool:
    """Whether a pong comes in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            await answered.wait()
    return answered.is_set()
