"""The socket of an order: what it sends, to whom, and what it refuses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import Buyers, most_of
from kafka_bridge.runtime import waiting
from orders import links

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def buyers(running_shop: Shop) -> Buyers:
    """Buyers of a book of which there is plenty; sockets are let in.

    Where a test before this one has killed Redis, the first socket notices that the connection was cut, and is refused.
    """
    sku = most_of(running_shop)
    known = Buyers(running_shop, sku)
    known.order(1)
    order = known.placed[0]
    waiting.until(lambda: _is_let_in(running_shop, order), what="a socket let in", timeout_seconds=60)
    return Buyers(running_shop, sku)


def _is_let_in(shop: Shop, order: str) -> bool:
    try:
        with opened(shop, order, key=links.key_for(order)) as socket:
            return bool(receive(socket))
    except (InvalidStatus, InvalidMessage, ConnectionClosed):
        return False  # a page would try again, too


@contextmanager
def opened(
    shop: Shop, order: str, *, key: str = "", origin: str | None = None, cookie: str = ""
) -> Iterator[ClientConnection]:
    """A socket as a page of the shop would open it."""
    headers = {"Cookie": cookie} if cookie else {}
    address = f"{shop.live_url}/live/orders/{order}/?key={key}"
    page = cast(Origin, origin or shop.url)
    with connect(address, origin=page, additional_headers=headers, proxy=None) as socket:
        yield socket


def receive(socket: ClientConnection, timeout_seconds: float = 10) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = json.loads(socket.recv(timeout=timeout_seconds))
    return message


def close_code(socket: ClientConnection) -> int:
    """The code with which the server closes."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


def place(buyers: Buyers) -> tuple[str, str]:
    """An order of a guest: its id and its key."""
    buyers.order(1)
    order = buyers.placed[-1]
    return order, links.key_for(order)


def test_a_snapshot_first_then_every_step_with_growing_versions(buyers: Buyers) -> None:
    buyers.shop.stop("inventory")
    order, key = place(buyers)
    with opened(buyers.shop, order, key=key) as socket:
        first = receive(socket)
        assert (first["type"], first["status"], first["version"], first["final"]) == ("snapshot", "PENDING", 1, False)
        buyers.shop.start("inventory")
        seen = [first]
        while seen[-1]["status"] != "DELIVERED":
            seen.append(receive(socket, 20))
    versions = [message["version"] for message in seen]
    assert versions == sorted(versions)
    assert {"PENDING", "PAID", "SHIPPED", "DELIVERED"} == {message["status"] for message in seen}
    assert seen[-1]["final"] is True
    assert seen[-1]["tracking_number"].startswith("SP")


def test_a_resync_answers_with_a_snapshot(buyers: Buyers) -> None:
    order, key = place(buyers)
    buyers.wait_for("DELIVERED")
    with opened(buyers.shop, order, key=key) as socket:
        first = receive(socket)
        socket.send(json.dumps({"type": "resync"}))
        assert receive(socket) == first


def test_what_was_missed_while_redis_was_dead_comes_when_it_is_back(buyers: Buyers) -> None:
    """The pushes are lost, the open socket notices, and the snapshot is the truth."""
    buyers.shop.stop("shipping")
    order, key = place(buyers)
    buyers.wait_for("PAID")
    with opened(buyers.shop, order, key=key) as socket:
        assert receive(socket)["status"] == "PAID"
        buyers.shop.redis.kill()
        try:
            buyers.shop.start("shipping")
            buyers.wait_for("DELIVERED")
            socket.send(json.dumps({"type": "resync"}))
            assert receive(socket)["status"] == "DELIVERED", "the database still answers"
        finally:
            buyers.shop.redis.start()
        assert receive(socket, 15)["status"] == "DELIVERED", "told without being asked"


def test_without_redis_a_new_socket_is_refused_and_the_page_is_told_over_http(buyers: Buyers) -> None:
    order, key = place(buyers)
    buyers.wait_for("DELIVERED")
    buyers.shop.redis.kill()
    try:
        with pytest.raises(InvalidStatus), opened(buyers.shop, order, key=key):
            pass
        answer = httpx.get(f"{buyers.shop.url}/api/orders/{order}/?key={key}")
        assert (answer.status_code, answer.json()["status"]) == (200, "DELIVERED")
    finally:
        buyers.shop.redis.start()


@pytest.mark.parametrize("key", ["", "wrong"])
def test_strangers_and_ghosts_get_the_same_answer(buyers: Buyers, key: str) -> None:
    order, _ = place(buyers)
    codes = []
    for asked in (order, "01a1fa65-9e6a-72cc-a337-112aaaee74fb"):
        with opened(buyers.shop, asked, key=key) as socket:
            codes.append(close_code(socket))
        assert httpx.get(f"{buyers.shop.url}/orders/{asked}/?key={key}").status_code == 404
    assert codes == [4404, 4404]


def test_another_orders_key_opens_nothing(buyers: Buyers) -> None:
    first, _ = place(buyers)
    _, key = place(buyers)
    with opened(buyers.shop, first, key=key) as socket:
        assert close_code(socket) == 4404


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_another_sites_page_is_refused(buyers: Buyers, origin: str) -> None:
    """The whole origin counts, scheme and port too."""
    order, key = place(buyers)
    with pytest.raises(InvalidStatus) as refused, opened(buyers.shop, order, key=key, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_a_big_frame_ends_the_connection(buyers: Buyers) -> None:
    order, key = place(buyers)
    with opened(buyers.shop, order, key=key) as socket:
        receive(socket)
        socket.send(json.dumps({"type": "resync", "padding": "x" * 5000}))
        with pytest.raises(ConnectionClosed):
            receive(socket)


def test_words_that_are_no_json_end_the_connection(buyers: Buyers) -> None:
    order, key = place(buyers)
    with opened(buyers.shop, order, key=key) as socket:
        receive(socket)
        socket.send("hello?")
        assert close_code(socket) == 4400


def test_the_socket_closes_when_its_owner_signs_out(buyers: Buyers) -> None:
    order, _ = place(buyers)
    [(user,)] = buyers.shop.query("SELECT id FROM auth_user WHERE username = 'reader'")
    buyers.shop.query("UPDATE orders_order SET user_id = %s WHERE id = %s::uuid RETURNING id", user, order)
    with httpx.Client(base_url=buyers.shop.url, follow_redirects=True) as browser:
        sign_in(browser)
        cookie = f"sessionid={browser.cookies['sessionid']}"
        with opened(buyers.shop, order, cookie=cookie) as socket:
            assert receive(socket)["order"] == order
            post_form(browser, "/sign-out/", {})
            assert close_code(socket) == 4401


def sign_in(browser: httpx.Client) -> None:
    """As the demo's reader."""
    post_form(browser, "/sign-in/", {"username": "reader", "password": "reader"})


def post_form(browser: httpx.Client, path: str, fields: dict[str, str]) -> None:
    """Post with the CSRF token of the page before."""
    if "csrftoken" not in browser.cookies:
        browser.get("/sign-in/")
    fields = fields | {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    response = browser.post(path, data=fields, headers={"Referer": str(browser.base_url)})
    assert response.status_code == 200, response.text[:500]
