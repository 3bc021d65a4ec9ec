"""The load generator against a server of a few lines."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest

from benchmarks import load

SKUS = [f"97800000000{number}" for number in range(10, 20)]


class Counter(BaseHTTPRequestHandler):
    """Takes orders like the shop does, and remembers them."""

    protocol_version = "HTTP/1.1"
    orders: list[dict[str, Any]]
    status = 201

    def do_POST(self) -> None:
        self.orders.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        body = json.dumps({"order": str(uuid4())}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # In two pieces: an answer need not arrive at once.
        self.wfile.write(body[:5])
        self.wfile.flush()
        self.wfile.write(body[5:])

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def handler() -> type[Counter]:
    """A server's handler of one test."""
    return type("Taking", (Counter,), {"orders": []})


@pytest.fixture
def port(handler: type[Counter]) -> Iterator[int]:
    """Where the server listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_closed_every_connection_is_busy_until_the_end(port: int, handler: type[Counter]) -> None:
    plan = load.LoadPlan(port=port, path="/", skus=SKUS, seconds=0.5, warm_up_seconds=0.2, connections=3)
    report = load.Generator(plan).run()
    assert report.seconds == pytest.approx(0.5, abs=0.2)
    counted = len(report.latencies_ms)
    assert report.statuses == {201: counted}
    assert 0 < counted < len(handler.orders)  # what was sent while warming up is not counted
    assert len({UUID(order["idempotency_key"]) for order in handler.orders}) == len(handler.orders)
    assert all(len({line["sku"] for line in order["lines"]} & set(SKUS)) == 2 for order in handler.orders)


def test_open_orders_come_at_their_rate(port: int, handler: type[Counter]) -> None:
    plan = load.LoadPlan(port=port, path="/", skus=SKUS, seconds=1.0, rate=100.0, connections=4, keep_orders=True)
    report = load.Generator(plan).run()
    assert len(handler.orders) == len(report.latencies_ms) == len(report.orders)
    assert 60 < len(handler.orders) < 140
    clicks = sorted(report.orders.values())
    assert clicks[-1] - clicks[0] <= 1.0


def test_what_is_refused_is_counted_apart(port: int, handler: type[Counter]) -> None:
    handler.status = 503
    report = load.Generator(load.LoadPlan(port=port, path="/", skus=SKUS, seconds=0.2, connections=1)).run()
    assert set(report.statuses) == {503}
    assert report.latencies_ms == []
    assert report.first_error.startswith('{"order"')


def test_pages_are_read_and_orders_that_shall_be_refused_count(port: int, handler: type[Counter]) -> None:
    plan = load.LoadPlan(port=port, path="/", skus=(), seconds=0.2, connections=2, is_read=True, expects=200)
    pages = load.Generator(plan).run()
    assert pages.statuses == {200: len(pages.latencies_ms)} and pages.latencies_ms and not handler.orders
    handler.status = 422
    door = load.Generator(load.LoadPlan(port=port, path="/", skus=SKUS[:1], seconds=0.2, expects=422)).run()
    assert door.statuses == {422: len(door.latencies_ms)}
    assert all([line["sku"] for line in order["lines"]] == SKUS[:1] for order in handler.orders)


def test_the_same_seed_picks_the_same_books() -> None:
    plan = load.LoadPlan(port=1, path="/", skus=SKUS, seconds=1)
    one, other = load.Requests(plan), load.Requests(plan)
    bodies = [requests.next().partition(b'"lines"')[2] for requests in (one, other) for _ in range(20)]
    assert bodies[:20] == bodies[20:]
    assert len(set(map(len, bodies))) == 1
