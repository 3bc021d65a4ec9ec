"""Every other answer, as Stripe documents it, and servers that give none."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from devtools.testing.payments.stripe_calls import TIMEOUT_SECONDS, authorize
from payments.gateways import Declined, RequiresAction, Succeeded, Unknown
from payments.gateways.stripe import StripeGateway

pytestmark = pytest.mark.money


def refusal(status: int, **error: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"type": "invalid_request_error", "message": "?", **error}}).encode()


def intent(status: str, **more: Any) -> tuple[int, bytes]:
    body = {"id": "pi_1", "object": "payment_intent", "amount": 1, "currency": "usd", "status": status, **more}
    return 200, json.dumps(body).encode()


def refund_of(status: str | None) -> tuple[int, bytes]:
    return 200, json.dumps({"id": "re_1", "object": "refund", "status": status}).encode()


@pytest.fixture
def says(at: Callable[[str], StripeGateway]) -> Iterator[Callable[..., StripeGateway]]:
    """A gateway whose Stripe gives these answers one after the other, and the last one ever after."""
    servers: list[ThreadingHTTPServer] = []

    def gateway_that_says(*answers: tuple[int, bytes]) -> StripeGateway:
        waiting = list(answers)

        class Canned(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return at(f"http://127.0.0.1:{server.server_port}")

    yield gateway_that_says
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (intent("requires_capture"), Succeeded("pi_1")),
        (intent("requires_payment_method"), Declined("card declined")),
        (
            intent("requires_payment_method", last_payment_error={"code": "expired_card"}),
            Declined("the card has expired"),
        ),
        (intent("canceled"), Declined("card declined")),
        (intent("processing"), Unknown("Stripe: payment pi_1 is processing")),
        (intent("requires_confirmation"), Unknown("Stripe: payment pi_1 is requires_confirmation")),
        (intent("something new"), Unknown("Stripe: payment pi_1 is something new")),
        (
            intent(
                "requires_action", next_action={"type": "redirect_to_url", "redirect_to_url": {"url": "https://x/"}}
            ),
            RequiresAction("pi_1", "https://x/"),
        ),
        (
            intent("requires_action", next_action={"type": "use_stripe_sdk"}),
            Unknown("Stripe: payment pi_1 is requires_action"),
        ),
        (refusal(402, type="card_error", code="card_declined", decline_code="stolen_card"), Declined("card declined")),
        (refusal(402, type="card_error", code="incorrect_cvc"), Declined("the card's security code is wrong")),
        (refusal(400, code="amount_too_small"), Declined("this amount cannot be paid by card")),
        (refusal(400, param="payment_method"), Declined("the card can no longer be used for this payment")),
        (
            refusal(400, message="This PaymentMethod was previously used. It may not be used again."),
            Declined("the card can no longer be used for this payment"),
        ),
        (refusal(400, param="return_url"), Unknown("Stripe: InvalidRequestError: ?")),
        (refusal(400, type="idempotency_error"), Unknown("Stripe: IdempotencyError: ?")),
        (refusal(409, code="idempotency_key_in_use"), Unknown("Stripe: APIError: ?")),
        (refusal(429, code="lock_timeout"), Unknown("Stripe: RateLimitError: ?")),
        (refusal(401), Unknown("Stripe: AuthenticationError: ?; look at STRIPE_SECRET_KEY")),
        (refusal(403), Unknown("Stripe: PermissionError: ?; look at STRIPE_SECRET_KEY")),
        (refusal(500, type="api_error"), Unknown("Stripe: APIError: ?")),
    ],
)
def test_what_stripe_says_to_an_authorization(
    says: Callable[..., StripeGateway], key: str, answer: tuple[int, bytes], expected: Any
) -> None:
    assert authorize(says(answer), key) == expected


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b"{}", b'{"id": 1}', b"\xff\xfe"])
@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_that_is_none(says: Callable[..., StripeGateway], key: str, status: int, body: bytes) -> None:
    gateway = says((status, body))
    assert isinstance(authorize(gateway, key), Unknown)
    assert isinstance(gateway.find(key=key, transaction_id="pi_1"), Unknown)
    assert isinstance(gateway.refund(key=key, transaction_id="pi_1", amount_minor=1), Unknown)
    assert isinstance(gateway.capture(key=key, transaction_id="pi_1", amount_minor=1), Unknown)
    assert isinstance(gateway.void(key=key, transaction_id="pi_1"), Unknown)
    if status == 502:
        with pytest.raises(OSError, match="Stripe: "):
            list(gateway.statement(since=timezone.now()))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", Succeeded("re_1")),
        ("failed", Declined("Stripe: refund re_1 failed: no reason given")),
        ("canceled", Declined("Stripe: refund re_1 canceled: no reason given")),
        ("pending", Unknown("Stripe: refund re_1 is pending")),
        (None, Unknown("Stripe: refund re_1 is None")),
    ],
)
def test_how_a_refund_can_be(says: Callable[..., StripeGateway], key: str, status: str | None, expected: Any) -> None:
    assert says(refund_of(status)).refund(key=key, transaction_id="pi_1", amount_minor=1) == expected


@pytest.mark.parametrize(
    ("now", "capture", "void"),
    [
        (intent("succeeded", amount_received=1), Succeeded("pi_1"), Declined("it is captured already")),
        (intent("canceled"), Declined("the authorization has expired or was cancelled"), Succeeded("pi_1")),
        (intent("processing"), Unknown("Stripe: payment pi_1 is processing"), ...),
        (refusal(404), Unknown("Stripe: InvalidRequestError: ?"), ...),
        (refusal(500), Unknown("Stripe: APIError: ?"), ...),
    ],
)  # fmt: skip
def test_a_refused_step_is_answered_by_how_the_payment_stands(
    says: Callable[..., StripeGateway], key: str, now: tuple[int, bytes], capture: Any, void: Any
) -> None:
    unexpected = refusal(400, code="payment_intent_unexpected_state")
    assert says(unexpected, now).capture(key=key, transaction_id="pi_1", amount_minor=1) == capture
    assert says(unexpected, now).void(key=key, transaction_id="pi_1") == (capture if void is ... else void)


def test_nobody_answers(at: Callable[[str], StripeGateway], key: str) -> None:
    """One takes the connection and stays silent, at the other's address nobody is."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        gateway = at(f"http://127.0.0.1:{port}")
        began = time.monotonic()
        answer = authorize(gateway, key)
        assert time.monotonic() - began < TIMEOUT_SECONDS + 0.5
    assert isinstance(answer, Unknown)
    assert answer.detail.startswith("Stripe: APIConnectionError: TimeoutError")
    answer = authorize(at(f"http://127.0.0.1:{port}"), key)
    assert isinstance(answer, Unknown)
    assert answer.detail == "Stripe: APIConnectionError: ConnectionRefusedError: [Errno 111] Connection refused"
