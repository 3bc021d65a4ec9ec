"""The JSON interface as programs in other languages call it (XA9)."""

import json
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from devtools.testing.processes import Shop
from devtools.testing.shop.buyers import CONTACT, most_of
from shop.site import web

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.security]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def http(running_shop: Shop) -> Iterator[httpx.Client]:
    """A client of the shop."""
    with httpx.Client(base_url=running_shop.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def order(running_shop: Shop) -> dict[str, Any]:
    """An order that will be taken."""
    return {
        **CONTACT,
        "idempotency_key": str(uuid.uuid4()),
        "lines": [{"sku": most_of(running_shop), "quantity": 1}],
        "payment_method": "pm_success",
    }


def in_chunks(body: dict[str, Any]) -> Iterator[bytes]:
    """As streams of Node, Go and Java send it: without Content-Length."""
    text = json.dumps(body).encode()
    for start in range(0, len(text), 50):
        yield text[start : start + 50]


@pytest.mark.parametrize("path", ["/api/orders/", "/api/orders"])
def test_a_body_in_chunks_is_read(http: httpx.Client, order: dict[str, Any], path: str) -> None:
    assert http.post(path, content=in_chunks(order), headers=JSON).status_code == 201


def test_a_webhook_in_chunks_is_read(http: httpx.Client) -> None:
    answer = http.post("/webhooks/payments/", content=in_chunks({"a": 1}), headers=JSON)
    assert (answer.status_code, answer.text.startswith("Refused")) == (400, True)


def test_bodies_have_a_limit_with_and_without_a_length(http: httpx.Client) -> None:
    too_much = b" " * (web.BODY_BYTES_MAX + 1)
    for content in (too_much, iter([too_much])):
        check_problem(http.post("/api/orders/", content=content, headers=JSON), 413, "too_large")


def test_every_error_is_a_problem(http: httpx.Client) -> None:
    for method, path, content, headers, status, code in (
        ("POST", "/api/orders", b"{", JSON, 400, "malformed"),
        ("POST", "/api/orders/", b"{}", {"Content-Type": "text/plain"}, 415, "not_json"),
        ("POST", "/api/orders/", b"{}", JSON, 422, "invalid"),
        ("PUT", "/api/orders/", b"", {}, 405, "method_not_allowed"),
        ("DELETE", f"/api/orders/{uuid.uuid4()}/", b"", {}, 405, "method_not_allowed"),
        ("GET", f"/api/orders/{uuid.uuid4()}", b"", {}, 404, "not_found"),
        ("GET", "/api/orders/nonsense/", b"", {}, 404, "not_found"),
        ("GET", "/api/", b"", {}, 404, "not_found"),
        ("GET", "/api/orders/nonsense/", b"", {"Host": "evil.example"}, 400, "bad_request"),
        ("GET", f"/api/orders/?{'q' * web.URL_BYTES_MAX}", b"", {}, 414, "uri_too_long"),
    ):
        answer = http.request(method, path, content=content, headers=headers)
        check_problem(answer, status, code)


def test_a_body_that_breaks_off_is_no_body(running_shop: Shop) -> None:
    for framing in ("Content-Length: 10\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"):
        with socket.create_connection(("127.0.0.1", running_shop.port), timeout=15) as client:
            head = "POST /api/orders/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            client.sendall((head + framing).encode())
            client.shutdown(socket.SHUT_WR)
            assert client.recv(65536)[:12] in (b"", b"HTTP/1.1 400")


@pytest.mark.security
@pytest.mark.parametrize(("protocol", "status"), [(b"ch\xc3\xa4t", b"400"), (b"chat, \xff", b"400"), (b"chat", b"101")])
def test_a_strange_protocol_of_a_socket_is_refused(running_shop: Shop, protocol: bytes, status: bytes) -> None:
    head = (
        b"GET /live/stock/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Origin: %b\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        b"Sec-WebSocket-Protocol: %b\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running_shop.port + 1), timeout=15) as client:
        client.sendall(head % (running_shop.url.encode(), protocol))
        assert client.recv(65536)[:12] == b"HTTP/1.1 " + status


def check_problem(answer: httpx.Response, status: int, code: str) -> None:
    """RFC 9457, and what there was before it."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    found = answer.json()
    assert (found["type"], found["status"]) == (f"urn:bookrush:problem:{code}", status)
    assert found["title"] and found["detail"]
    assert found["error"] == {**found["error"], "code": code, "message": found["detail"]}
