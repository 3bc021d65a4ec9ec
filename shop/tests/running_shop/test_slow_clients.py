"""Five hundred slow clients at once, and one that floods: nobody else waits, and memory comes back (XA1, XA4)."""

import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from devtools.local import ports, roles
from devtools.local.roles import PROJECT
from devtools.testing import slow_clients
from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import CONTACT, most_of
from devtools.testing.slow_clients import (
    SILENT,
    SLOW_BODY,
    SLOW_CHUNKS,
    SLOW_HEADERS,
    SLOW_SOCKET,
    SLOW_WEBHOOK,
    UNREAD,
    Crowd,
    Kind,
)

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.security]
CLIENTS = 500
# A machine may be busy: clicks are held against those of a moment ago, on the same machine.
TIMES_SLOWER = 10
PATIENCE_SECONDS = 0.3
# A machine may be so busy that the first crowd has reached its end before the first click.
CROWDS = 3
# Several times the longest bound (`UNREAD_SECONDS`); a busy machine is later, and without a bound it would be never.
ENDED_SECONDS = 120.0
WEB_PATHS = ("/", "/healthz")


def click(port: int, paths: tuple[str, ...], *, rounds: int = 12, crowd: Crowd | None = None) -> float:
    """Others click while the crowd drips, and all are answered; the median of how long they wait, in seconds."""
    waited = []
    for _ in range(rounds):
        if crowd:
            crowd.drip()
        for path in paths:
            status, took = slow_clients.click(port, path)
            assert status in (200, 403), path
            waited.append(took)
        time.sleep(0.1)
    return statistics.median(waited)


def check_clicks(port: int, paths: tuple[str, ...], kinds: tuple[Kind, ...], shop: Shop, *, clients: int) -> None:
    """Others are served while slow clients hold all that they may, about as soon as without them; those have an end."""
    before = click(port, paths)
    meanwhile = None
    for _ in range(CROWDS):
        with slow_clients.crowd(port, kinds, clients=clients) as those:
            click(port, paths, rounds=1, crowd=those)
            if those.still_open() > clients // 2:
                meanwhile = click(port, paths, crowd=those)
            until_ended(shop, those)
        if meanwhile is not None:
            break
    assert meanwhile is not None, "others are answered while the slow ones hold on"
    usual = max(before, click(port, paths))
    assert meanwhile < PATIENCE_SECONDS + TIMES_SLOWER * usual, (before, meanwhile, usual)


def until_ended(shop: Shop, those: Crowd) -> None:
    """However slowly a client goes on, it has an end."""

    def ended() -> bool:
        those.drip()
        return not those.still_open()

    shop.wait_until(ended, what="the end of all slow connections", timeout_seconds=ENDED_SECONDS)


def test_slow_headers_and_bodies_stop_no_page(running_shop: Shop) -> None:
    kinds = (SLOW_HEADERS, SLOW_BODY, SLOW_CHUNKS, SLOW_WEBHOOK, SILENT)
    pid = running_shop.process_ids()["web"]
    for _ in range(100):
        slow_clients.click(running_shop.port, "/")  # each thread has what it needs
    before = slow_clients.memory_mib(pid)
    check_clicks(running_shop.port, WEB_PATHS, kinds, running_shop, clients=CLIENTS)
    assert slow_clients.memory_mib(pid) < before + 48


@pytest.mark.prove
def test_clients_that_never_read_stop_no_page_and_are_ended(running_shop: Shop) -> None:
    check_clicks(running_shop.port, WEB_PATHS, (UNREAD,), running_shop, clients=100)


@pytest.fixture
def proxy_port(running_shop: Shop, tmp_path: Path) -> Iterator[int]:
    """Caddy before the shop, with the Caddyfile of the compose file."""
    if not shutil.which("caddy"):
        (pytest.fail if settings.CI else pytest.skip)("Caddy is not installed (Debian: apt install caddy)")
    port, metrics_port = ports.pick(2)
    text = (PROJECT / "deploy" / "caddy" / "Caddyfile").read_text()
    for old, new in {
        "dynamic a web 8000": f"dynamic a 127.0.0.1 {running_shop.port}",
        "dynamic a live 8001": f"dynamic a 127.0.0.1 {running_shop.port + 1}",
        "{$SITE_ADDRESS::80}": f":{port}",
        ":9180": f":{metrics_port}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    # Debian's Caddy is older than the image, and does not know these yet.
    text = re.sub(r"(?m)^\t+(metrics|trusted_proxies .*|request_buffers .*)\n", "", text)
    (tmp_path / "Caddyfile").write_text(text)
    caddy = subprocess.Popen(
        ["caddy", "run", "--config", "Caddyfile"],  # noqa: S607 - wherever it is
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=(tmp_path / "caddy.log").open("wb"),
    )
    try:
        running_shop.wait_until(lambda: roles.answers(f"http://127.0.0.1:{port}/healthz"), what="Caddy")
        yield port
    finally:
        caddy.terminate()
        caddy.wait(10)


@pytest.mark.prove
def test_slow_headers_and_bodies_stop_no_page_through_the_proxy(running_shop: Shop, proxy_port: int) -> None:
    kinds = (SLOW_HEADERS, SLOW_BODY, SLOW_CHUNKS, SLOW_WEBHOOK, SLOW_SOCKET, SILENT)
    check_clicks(proxy_port, (*WEB_PATHS, "/kafka/"), kinds, running_shop, clients=CLIENTS)


def test_slow_clients_of_the_sockets_stop_no_socket(running_shop: Shop) -> None:
    port = running_shop.port + 1
    kinds = (SLOW_HEADERS, SLOW_SOCKET, SILENT)
    check_clicks(port, ("/healthz", "/kafka/"), kinds, running_shop, clients=CLIENTS)


def test_a_body_is_refused_on_the_port_of_the_sockets(running_shop: Shop) -> None:
    with slow_clients.crowd(running_shop.port + 1, (SLOW_BODY, SLOW_CHUNKS), clients=20) as those:
        running_shop.wait_until(lambda: not those.still_open(), what="their end", timeout_seconds=60)


@pytest.fixture
def live_address(running_shop: Shop) -> str:
    """The socket of an order."""
    order = {
        **CONTACT,
        "idempotency_key": str(uuid.uuid4()),
        "lines": [{"sku": most_of(running_shop), "quantity": 1}],
        "payment_method": "pm_success",
    }
    connection = http.client.HTTPConnection("127.0.0.1", running_shop.port, timeout=15)
    connection.request("POST", "/api/orders/", json.dumps(order), {"Content-Type": "application/json"})
    address = str(json.loads(connection.getresponse().read())["live_url"])
    # Where an earlier test had stopped Redis, the first socket finds a connection that leads nowhere any more.
    running_shop.wait_until(lambda: is_let_in(address), what="a socket")
    return address


def is_let_in(address: str) -> bool:
    """Whether a socket can be opened there."""
    try:
        with connect(address, proxy=None):
            pass
    except InvalidStatus:
        return False
    return True


def test_a_socket_that_says_too_much_is_closed_with_a_reason(running_shop: Shop, live_address: str) -> None:
    pid = running_shop.process_ids()["live"]
    before = slow_clients.memory_mib(pid)
    sent = flood(live_address, messages=200_000)
    assert sent < 200_000
    assert slow_clients.click(running_shop.port + 1, "/healthz")[0] == 200
    assert slow_clients.memory_mib(pid) < before + 48


def test_the_reason_is_told(live_address: str) -> None:
    with connect(live_address, proxy=None) as socket:
        for _ in range(40):
            socket.send('{"type":"resync"}')
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        4429,
        "Too many messages.",
    )


def flood(address: str, *, messages: int) -> int:
    """Ask again and again without reading; how often, until the server ended it."""
    with connect(address, proxy=None, max_queue=None) as socket:
        for number in range(messages):
            try:
                socket.send('{"type":"resync"}')
            except ConnectionClosed:
                return number
    return messages
