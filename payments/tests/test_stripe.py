"""The Stripe gateway against a double that runs as a server: the real SDK over real HTTP.

What the double cannot show is in docs/operations.md, "To be tried with a real key".
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import pytest
import stripe as sdk
from django.utils import timezone
from uuid_utils.compat import uuid7

from devtools.testing.payments.stripe_process import SECRET, Double
from kafka_bridge import testing
from payments.gateways import (
    Answer,
    Declined,
    NotGenuine,
    Payment,
    PaymentStatus,
    RequiresAction,
    Succeeded,
    Unknown,
    signatures,
    stripe,
)
from payments.gateways.stripe import StripeGateway

pytestmark = pytest.mark.money
RETURN_URL = "http://127.0.0.1:8000/orders/1/"
TIMEOUT_SECONDS = 1.0


@pytest.fixture
def at(settings: Any) -> Callable[[str], StripeGateway]:
    """A gateway that takes this address for Stripe's."""

    def gateway_at(url: str) -> StripeGateway:
        settings.STRIPE_SECRET_KEY = "sk_test_double"
        settings.STRIPE_API_BASE = url
        settings.PAYMENT_TIMEOUT_SECONDS = TIMEOUT_SECONDS
        settings.PAYMENT_WEBHOOK_SECRETS = [SECRET]
        return StripeGateway()

    return gateway_at


@pytest.fixture
def gateway(at: Callable[[str], StripeGateway], double: Double) -> StripeGateway:
    """The gateway, talking to the double."""
    double.trouble()
    return at(double.url)


@pytest.fixture
def key() -> str:
    """As the id of a charge."""
    return str(uuid7())


def authorize(gateway: StripeGateway, key: str, card: str = "pm_card_visa", *, amount_minor: int = 1999) -> Any:
    """Set something aside."""
    return gateway.authorize(
        key=key, amount_minor=amount_minor, currency="USD", payment_method=card, return_url=RETURN_URL
    )


def authorized(gateway: StripeGateway, key: str) -> str:
    """The transaction's id."""
    answer = authorize(gateway, key)
    assert isinstance(answer, Succeeded), answer
    return answer.transaction_id


def captured(gateway: StripeGateway, key: str) -> str:
    """The transaction's id."""
    transaction_id = authorized(gateway, key)
    assert gateway.capture(key=f"{key}:capture", transaction_id=transaction_id, amount_minor=1999) == Succeeded(
        transaction_id
    )
    return transaction_id


def standing(gateway: StripeGateway, key: str) -> PaymentStatus:
    """By the gateway's books."""
    found = gateway.find(key=key)
    assert isinstance(found, Payment), found
    return found.standing


# -- the way of a payment -------------------------------------------------------------------------------------
def test_authorized_then_captured(gateway: StripeGateway, key: str) -> None:
    transaction_id = authorized(gateway, key)
    aside = Payment(
        key=key, transaction_id=transaction_id, standing=PaymentStatus.AUTHORIZED, amount_minor=1999, currency="USD"
    )
    assert gateway.find(key=key) == aside
    assert gateway.find(key=key, transaction_id=transaction_id) == aside

    assert gateway.capture(key=f"{key}:capture", transaction_id=transaction_id, amount_minor=1999) == Succeeded(
        transaction_id
    )
    taken = gateway.find(key=key)
    assert isinstance(taken, Payment)
    assert (taken.standing, taken.captured_minor, taken.refunded_minor) == (PaymentStatus.CAPTURED, 1999, 0)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("pm_card_chargeCustomerFail", "card declined"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient funds"),
        ("pm_nobody_knows", "the card can no longer be used for this payment"),
    ],
)
def test_a_card_is_declined_in_words_for_its_holder(gateway: StripeGateway, key: str, card: str, reason: str) -> None:
    assert authorize(gateway, key, card) == Declined(reason)
    assert authorize(gateway, key, card) == Declined(reason), "and again"


def test_a_declined_payment_is_in_the_books(gateway: StripeGateway, key: str) -> None:
    authorize(gateway, key, "pm_card_chargeCustomerFail")
    found = gateway.find(key=key)
    assert isinstance(found, Payment)
    assert (found.standing, found.reason, found.captured_minor) == (PaymentStatus.DECLINED, "card declined", 0)


@pytest.mark.parametrize(("success", "end"), [(True, PaymentStatus.AUTHORIZED), (False, PaymentStatus.DECLINED)])
def test_the_buyer_is_sent_to_the_bank(
    gateway: StripeGateway, double: Double, key: str, success: bool, end: PaymentStatus
) -> None:
    asked = authorize(gateway, key, "pm_card_authenticationRequired")
    assert isinstance(asked, RequiresAction)
    assert asked.url == f"https://hooks.stripe.com/redirect/{asked.transaction_id}?return={RETURN_URL}"
    waiting = gateway.find(key=key, transaction_id=asked.transaction_id)
    assert isinstance(waiting, Payment)
    assert (waiting.standing, waiting.url) == (PaymentStatus.ACTION, asked.url)

    double.confirm(asked.transaction_id, success=success)
    found = gateway.find(key=key, transaction_id=asked.transaction_id)
    assert isinstance(found, Payment)
    assert (found.standing, found.reason) == (
        end, "" if success else "the payment was not confirmed with the bank"
    )  # fmt: skip


def test_voided_is_voided(gateway: StripeGateway, double: Double, key: str) -> None:
    transaction_id = authorized(gateway, key)
    for _ in range(2):
        assert gateway.void(key=f"{key}:void", transaction_id=transaction_id) == Succeeded(transaction_id)
        double.forget_keys()
    assert standing(gateway, key) is PaymentStatus.VOIDED
    assert gateway.capture(key=f"{key}:capture", transaction_id=transaction_id, amount_minor=1999) == Declined(
        "the authorization has expired or was cancelled"
    )


def test_a_payment_that_waits_for_the_buyer_can_be_voided(gateway: StripeGateway, key: str) -> None:
    asked = authorize(gateway, key, "pm_card_authenticationRequired")
    assert gateway.void(key=f"{key}:void", transaction_id=asked.transaction_id) == Succeeded(asked.transaction_id)
    assert standing(gateway, key) is PaymentStatus.VOIDED


def test_captured_is_captured(gateway: StripeGateway, double: Double, key: str) -> None:
    """Also where the gateway has forgotten the key: it is looked at, not taken again."""
    transaction_id = captured(gateway, key)
    double.forget_keys()
    again = gateway.capture(key=f"{key}:capture", transaction_id=transaction_id, amount_minor=1999)
    assert again == Succeeded(transaction_id)
    other = gateway.capture(key=f"{key}:capture", transaction_id=transaction_id, amount_minor=1000)
    assert isinstance(other, Unknown), "our books say something else: a person has to look"
    assert gateway.void(key=f"{key}:void", transaction_id=transaction_id) == Declined("it is captured already")


def test_parts_go_back_and_never_more_than_was_taken(gateway: StripeGateway, double: Double, key: str) -> None:
    transaction_id = captured(gateway, key)
    one, two, three = (str(uuid4()) for _ in range(3))
    first = gateway.refund(key=one, transaction_id=transaction_id, amount_minor=500)
    assert isinstance(first, Succeeded)
    assert gateway.refund(key=one, transaction_id=transaction_id, amount_minor=500) == first, "the same key"
    assert gateway.find_refund(key=one, transaction_id=transaction_id) == first
    assert gateway.find_refund(key=two, transaction_id=transaction_id) is None
    too_much = gateway.refund(key=three, transaction_id=transaction_id, amount_minor=1500)
    assert isinstance(too_much, Declined)

    assert isinstance(gateway.refund(key=two, transaction_id=transaction_id, amount_minor=1499), Succeeded)
    found = gateway.find(key=key)
    assert isinstance(found, Payment)
    assert (found.captured_minor, found.refunded_minor) == (1999, 1999)
    double.forget_keys()
    assert gateway.refund(key=one, transaction_id=transaction_id, amount_minor=500) == first, "looked up"
    found = gateway.find(key=key)
    assert isinstance(found, Payment)
    assert found.refunded_minor == 1999


# -- unknown outcomes -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("trouble", [{"do": "lose"}, {"do": "stall", "seconds": 3 * TIMEOUT_SECONDS}])
def test_an_answer_that_never_comes(gateway: StripeGateway, double: Double, key: str, trouble: dict[str, Any]) -> None:
    """FAILURES 1: carried out, but nobody heard; the same key again finds the one payment there is."""
    double.trouble(trouble)
    began = time.monotonic()
    assert isinstance(authorize(gateway, key), Unknown)
    assert time.monotonic() - began < TIMEOUT_SECONDS + 0.5
    assert standing(gateway, key) is PaymentStatus.AUTHORIZED
    transaction_id = authorized(gateway, key)

    steps: dict[str, Callable[[], Answer]] = {
        "capture": lambda: gateway.capture(key=f"{key}:capture", transaction_id=transaction_id, amount_minor=1999),
        "refund": lambda: gateway.refund(key=f"{key}:back", transaction_id=transaction_id, amount_minor=1999),
    }
    for name, call in steps.items():
        double.trouble(trouble)
        assert isinstance(call(), Unknown), name
        assert isinstance(call(), Succeeded), name
    assert len(double.payments(key)) == 1
    found = gateway.find(key=key)
    assert isinstance(found, Payment)
    assert (found.captured_minor, found.refunded_minor) == (1999, 1999)


def test_a_call_that_never_arrived(gateway: StripeGateway, double: Double, key: str) -> None:
    double.trouble({"do": "refuse", "status": 503})
    assert isinstance(authorize(gateway, key), Unknown)
    assert gateway.find(key=key) is None
    authorized(gateway, key)
    assert len(double.payments(key)) == 1


def test_a_key_with_other_contents_is_refused(gateway: StripeGateway, double: Double, key: str) -> None:
    authorized(gateway, key)
    assert isinstance(authorize(gateway, key, amount_minor=1), Unknown)
    assert len(double.payments(key)) == 1


def test_an_old_key_is_searched_for(gateway: StripeGateway) -> None:
    """Its payment is not among those of the time when the key was made: the call came hours later."""
    hours_ago = int((timezone.now() - timedelta(hours=5)).timestamp() * 1000)
    key = str(UUID(int=(hours_ago << 80) | (uuid7().int & ((1 << 80) - 1))))
    assert gateway.find(key=key) is None
    authorized(gateway, key)
    assert standing(gateway, key) is PaymentStatus.AUTHORIZED


def test_the_statement_has_all_pages(gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    since = timezone.now() - timedelta(seconds=5)
    keys = {str(uuid7()) for _ in range(5)}
    for key in keys:
        authorized(gateway, key)
    monkeypatch.setattr(stripe, "PAGE", 2)
    found = [payment for payment in gateway.statement(since=since) if payment.key in keys]
    assert {payment.key for payment in found} == keys
    assert len(found) == 5


# -- every other answer, as Stripe documents it ------------------------------------------------------------------
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


# -- webhooks -----------------------------------------------------------------------------------------------------
def event(kind: str = "payment_intent.succeeded", **about: Any) -> bytes:
    told = {"id": "pi_1", "object": "payment_intent", "metadata": {"charge_id": "our-key"}, **about}
    body = {"id": "evt_1", "object": "event", "type": kind, "created": 1_700_000_000, "data": {"object": told}}
    return json.dumps(body).encode()


def signed(body: bytes) -> dict[str, str]:
    return {"Stripe-Signature": signatures.sign(body, secret=SECRET, at=int(time.time()))}


def test_the_double_sends_what_we_read(gateway: StripeGateway, double: Double, key: str) -> None:
    """Signed and sent by somebody else's code."""
    heard: list[tuple[bytes, dict[str, str]]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.rfile.read(int(self.headers["Content-Length"])), dict(self.headers)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ear) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        double.send_webhooks_to(f"http://127.0.0.1:{server.server_port}/")
        transaction_id = captured(gateway, key)
        testing.wait_until(lambda: heard, what="a webhook")
        server.shutdown()
    body, headers = heard[0]
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
