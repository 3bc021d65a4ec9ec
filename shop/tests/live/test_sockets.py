"""The door of the sockets: how many may come in."""

import asyncio
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from shop.live import sockets


async def accept(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accepts every connection and waits for its end."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


class Visitor(WebsocketCommunicator):  # type: ignore[misc]  # channels has no types
    """A socket from an address."""

    def __init__(self, door: sockets.Capped, address: str) -> None:
        super().__init__(door, "/")
        self.scope["client"] = [address, 50_000]


def come_and_go(
    settings: Any, *, most: int, per_address: int, addresses: list[str], share: float = 1.0
) -> tuple[list[bool], bool]:
    """Who is let in one after the other, and whether the first address is let in again once all have left."""
    settings.LIVE_SOCKETS_MAX, settings.LIVE_SOCKETS_PER_ADDRESS_MAX = most, per_address

    async def story() -> tuple[list[bool], bool]:
        door = sockets.Capped(accept, share=share)
        visitors = [Visitor(door, address) for address in addresses]
        let_in = [(await visitor.connect())[0] for visitor in visitors]
        for visitor, inside in zip(visitors, let_in, strict=True):
            if inside:
                await visitor.disconnect()
        again = Visitor(door, addresses[0])
        came_back = (await again.connect())[0]
        await again.disconnect()
        return let_in, came_back

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("most", "per_address", "expected"),
    [(10, 10, [True, True, True, True]), (10, 2, [True, True, False, True]), (3, 10, [True, True, True, False])],
)
def test_sockets_beyond_the_caps_are_refused_and_places_are_given_back(
    settings: Any, most: int, per_address: int, expected: list[bool]
) -> None:
    addresses = ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"]
    assert come_and_go(settings, most=most, per_address=per_address, addresses=addresses) == (expected, True)


def test_those_who_look_on_leave_places_for_others(settings: Any) -> None:
    addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]
    expected = [True, True, True, True, False]
    assert come_and_go(settings, most=5, per_address=5, addresses=addresses, share=0.8) == (expected, True)


@pytest.mark.security
@pytest.mark.parametrize("path", ["/", "/live/", "/live/stock", "/live/orders/x/", "/admin/", "/live/stock/more/"])
def test_a_socket_that_is_not_there_is_refused_without_an_error(path: str) -> None:
    assert asyncio.run(WebsocketCommunicator(sockets.application, path).connect())[0] is False
