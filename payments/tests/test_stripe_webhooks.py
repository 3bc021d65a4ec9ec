"""Stripe's webhooks: which of them matter, whether they are genuine, and what the double sends."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe as sdk

from devtools.testing.payments.stripe_calls import captured
from devtools.testing.payments.stripe_process import SECRET, Double
from kafka_bridge import testing
from payments.gateways import NotGenuine, signatures
from payments.gateways.stripe import StripeGateway

pytestmark = pytest.mark.money


def event(kind: str = "payment_intent.succeeded", **about: Any) -> bytes:
    told = {"id": "pi_1", "object": "payment_intent", "metadata": {"charge_id": "our-key"}, **about}
    body = {"id": "evt_1", "object": "event", "type": kind, "created": 1_700_000_000, "data": {"object": told}}
    return json.dumps(body).encode()


def signed(body: bytes) -> dict[str, str]:
    return {"Stripe-Signature": signatures.sign(body, secret=SECRET, at=int(time.time()))}


def test_the_double_sends_what_we_read(gateway: StripeGateway, double: Double, key: str) -> None:
    """Signed and sent by somebody else's code."""
    received: list[tuple[bytes, dict[str, str]]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        double.send_webhooks_to(f"http://127.0.0.1:{server.server_port}/")
        transaction_id = captured(gateway, key)
        testing.wait_until(lambda: received, what="a webhook")
        server.shutdown()
    body, headers = received[0]
    event = gateway.read_webhook(body=body, headers=headers)
    assert event is not None
    assert (event.kind, event.transaction_id, event.key) == ("payment_intent.succeeded", transaction_id, key)
    with pytest.raises(NotGenuine):
        gateway.read_webhook(body=body.replace(b"1999", b"9999"), headers=headers)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (event(), ("pi_1", "our-key")),
        (event("payment_intent.amount_capturable_updated"), ("pi_1", "our-key")),
        (event("payment_intent.payment_failed", metadata={}), ("pi_1", "")),
        (event("charge.refunded", id="ch_1", object="charge", payment_intent="pi_1"), ("pi_1", "our-key")),
        (event("charge.refunded", id="ch_1", object="charge", payment_intent=None, metadata=None), ("ch_1", "")),
        (event("refund.failed", id="re_1", object="refund", payment_intent="pi_1", metadata={}), ("pi_1", "")),
        (event("payment_intent.created"), None),
        (event("customer.created", id="cus_1"), None),
        (json.dumps({"id": "evt_1", "type": "balance.available", "created": 1, "data": {"object": {}}}).encode(), None),
    ],
)  # fmt: skip
def test_which_events_are_heard(gateway: StripeGateway, body: bytes, expected: tuple[str, str] | None) -> None:
    event = gateway.read_webhook(body=body, headers=signed(body))
    assert (event and (event.transaction_id, event.key)) == expected


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"id": 5}', b"\xff", event(id=7), event().replace(b"1700000000", b"1e400")]
)
def test_a_signed_body_that_cannot_be_read(gateway: StripeGateway, body: bytes) -> None:
    with pytest.raises(NotGenuine, match="the body cannot be read"):
        gateway.read_webhook(body=body, headers=signed(body))


def test_the_sdk_agrees_about_signatures() -> None:
    """Stripe's own code accepts what we sign, so we check what Stripe signs."""
    body, now = event(), int(time.time())
    header = signatures.sign(body, secret=SECRET, at=now)
    assert sdk.WebhookSignature.verify_header(body.decode(), header, SECRET, 300)
