"""The bank's HTTP side: what callers and buyers are told, also when they or the bank misbehave."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from devtools.testing.payments.sandbox_bank import InProcessGateway
from kafka_bridge.runtime import waiting
from payments.gateways import Declined, Succeeded, Unknown
from payments.sandbox.bank import Bank
from payments.sandbox.server import LARGEST_BODY, Manners, Server

pytestmark = [pytest.mark.money, pytest.mark.security]
ORDER_PAGE = "http://127.0.0.1:8000/orders/1/?key=a&b=c"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One with an empty ledger and no delays."""
    bank = Bank(tmp_path / "ledger.sqlite3")
    yield Server(bank, Manners(public_url="http://bank.example"))
    bank.close()


@pytest.fixture
def http(server: Server) -> Client:
    """A client of it."""
    return Client(server)


def pay(http: Client, *, card: str = "pm_success", key: str = "k", **changed: Any) -> TestResponse:
    body = {"amount_minor": 1999, "currency": "USD", "payment_method": card, "return_url": ORDER_PAGE} | changed
    return http.post("/v1/payments", json=body, headers={"Idempotency-Key": key})


def code(response: TestResponse) -> tuple[int, str]:
    return response.status_code, response.get_json()["error"]["code"]


# -- The API ------------------------------------------------------------------------------------------
def test_a_payment_as_it_is_told(http: Client) -> None:
    payment = pay(http).get_json()
    transaction_id, at = payment.pop("transaction_id"), payment.pop("at")
    assert abs(time.time() - at) < 60
    assert payment == {
        "key": "k",
        "standing": "authorized",
        "amount_minor": 1999,
        "currency": "USD",
        "captured_minor": 0,
        "refunded_minor": 0,
        "reason": "",
        "card": "pm_success",
        "url": "",
    }
    assert http.get("/v1/payments?key=k").get_json() == http.get(f"/v1/payments/{transaction_id}").get_json()
    asked = pay(http, card="pm_3ds", key="asks").get_json()
    assert asked["url"] == f"http://bank.example/challenges/{asked['transaction_id']}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "amount_minor is missing"),
        (b"{", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"\xff\xfe", "no JSON object"),
        (b'{"amount_minor": "12"}', "amount_minor is missing, or of the wrong kind"),
        (b'{"amount_minor": true}', "amount_minor is missing, or of the wrong kind"),
        (b'{"amount_minor": 1.5}', "amount_minor is missing, or of the wrong kind"),
        (b'{"amount_minor": -1}', "the amount is from 0"),
        (b'{"amount_minor": 1' + b"0" * 30 + b"}", "the amount is from 0"),
    ],
)
def test_a_body_that_makes_no_sense_is_told_so(http: Client, server: Server, body: bytes, said: str) -> None:
    contents = body
    if body.startswith(b'{"'):
        contents = json.dumps({"currency": "USD", "payment_method": "pm_success"} | json.loads(body)).encode()
    elif not body:
        contents = b'{"currency": "USD", "payment_method": "pm_success"}'
    response = http.post("/v1/payments", data=contents, headers={"Idempotency-Key": "k"})
    assert code(response) == (400, "bad_request")
    assert said in response.get_json()["error"]["message"]
    assert server.bank.statement() == []


def test_other_mistakes_are_told_too(http: Client, server: Server) -> None:
    payment = pay(http).get_json()["transaction_id"]
    assert code(http.post("/v1/payments", json={})) == (400, "bad_request")
    assert code(pay(http, amount_minor=1)) == (409, "key_reused")
    assert code(pay(http, key="k" * 256)) == (400, "bad_request")
    assert code(http.post(f"/v1/payments/{payment}/void")) == (400, "bad_request")
    assert code(http.get("/v1/payments?key=nobody")) == (404, "no_such_payment")
    assert code(http.get("/v1/payments/nobody")) == (404, "no_such_payment")
    assert code(http.get("/v1/refunds?key=k")) == (404, "no_such_refund")
    assert code(http.get("/v1/statement?since=yesterday")) == (400, "bad_request")
    assert code(http.get("/v2/payments")) == (404, "not_found")
    assert code(http.delete("/v1/payments")) == (405, "method_not_allowed")
    assert len(server.bank.entries()) == 1


def test_a_huge_body_is_not_read(http: Client, server: Server) -> None:
    headers = {"Idempotency-Key": "k"}
    assert code(http.post("/v1/payments", data=b"x" * (LARGEST_BODY + 1), headers=headers)) == (413, "too_large")
    endless = io.BytesIO(b"x" * (LARGEST_BODY * 10))
    environ = {"wsgi.input": endless, "wsgi.input_terminated": True}  # chunked: no length is told
    response = http.post("/v1/payments", headers=headers, environ_overrides=environ)
    assert response.status_code in (400, 413)
    assert endless.tell() <= LARGEST_BODY * 2
    assert server.bank.statement() == []


def test_a_ledger_that_fails_is_said_and_is_no_answer(sandbox_gateway: InProcessGateway, tmp_path: Path) -> None:
    sandbox_gateway.bank.close()
    (tmp_path / "ledger.sqlite3").unlink(missing_ok=True)
    (tmp_path / "ledger.sqlite3").mkdir()
    assert isinstance(sandbox_gateway.find(key="k"), Unknown)


def test_health(http: Client) -> None:
    assert http.get("/healthz").get_json() == {"status": "ok"}


# -- Outages ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("mode", "answer"), [("refuse", (503, "outage")), ("stall", (504, "no_answer"))])
def test_an_outage_stops_every_call(http: Client, server: Server, mode: str, answer: tuple[int, str]) -> None:
    assert http.post("/v1/control/outage", json={"seconds": 60, "mode": mode}).status_code == 200
    assert code(pay(http)) == answer
    assert code(http.get("/v1/payments?key=k")) == answer
    assert code(http.get("/v1/statement")) == answer
    assert http.get("/healthz").status_code == 200
    assert server.bank.statement() == []
    http.post("/v1/control/outage", json={"seconds": 0})
    assert pay(http).status_code == 200


def test_an_outage_ends_by_itself(http: Client) -> None:
    http.post("/v1/control/outage", json={"seconds": 0.2})
    assert code(pay(http)) == (503, "outage")
    waiting.until(lambda: pay(http).status_code == 200, what="the end of the outage", timeout_seconds=60)


@pytest.mark.parametrize("wanted", [{"seconds": -1}, {"seconds": 1e9}, {"seconds": 1, "mode": "sulk"}, {}])
def test_an_outage_that_makes_no_sense(http: Client, wanted: dict[str, Any]) -> None:
    assert code(http.post("/v1/control/outage", json=wanted)) == (400, "bad_request")
    assert pay(http).status_code == 200


def test_to_the_shop_an_outage_is_an_unknown_outcome(sandbox_gateway: InProcessGateway) -> None:
    authorized = {"amount_minor": 1, "currency": "USD", "payment_method": "pm_success", "return_url": ORDER_PAGE}
    for mode in ("refuse", "stall"):
        sandbox_gateway.server.outage.begin(60, mode)
        assert isinstance(sandbox_gateway.authorize(key="k", **authorized), Unknown)  # type: ignore[arg-type]
        assert isinstance(sandbox_gateway.find(key="k"), Unknown), "not None: who knows?"
        assert isinstance(sandbox_gateway.find_refund(key="r", transaction_id="t"), Unknown)
    sandbox_gateway.server.outage.begin(0, "refuse")
    assert sandbox_gateway.find(key="k") is None
    assert sandbox_gateway.find_refund(key="r", transaction_id="t") is None


def test_what_the_bank_does_not_know_is_declined(sandbox_gateway: InProcessGateway) -> None:
    gone = Declined("there is no such payment")
    assert sandbox_gateway.capture(key="c", transaction_id="t", amount_minor=1) == gone
    assert sandbox_gateway.void(key="v", transaction_id="t") == gone
    assert sandbox_gateway.refund(key="r", transaction_id="t", amount_minor=1) == gone


def test_a_key_used_for_something_else_is_no_answer_at_all(sandbox_gateway: InProcessGateway) -> None:
    first: dict[str, Any] = {"key": "k", "currency": "USD", "payment_method": "pm_success", "return_url": ""}
    assert isinstance(sandbox_gateway.authorize(amount_minor=1, **first), Succeeded)
    answer = sandbox_gateway.authorize(amount_minor=2, **first)
    assert isinstance(answer, Unknown)
    assert "key_reused" in answer.detail


def test_a_slow_card_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    bank = Bank(tmp_path / "ledger.sqlite3")
    http = Client(Server(bank, Manners(public_url="", slow_seconds=3)))
    threading.Thread(target=pay, args=(http,), kwargs={"card": "pm_slow", "key": "slow"}, daemon=True).start()
    started = time.monotonic()
    assert pay(http).status_code == 200
    assert time.monotonic() - started < 2
    assert bank.find(key="slow") is None
    bank.close()


# -- The buyer's page ------------------------------------------------------------------------------------
def challenge(http: Client, **changed: Any) -> str:
    return f"/challenges/{pay(http, card='pm_3ds', **changed).get_json()['transaction_id']}"


def test_the_page_asks(http: Client) -> None:
    response = http.get(challenge(http, amount_minor=123_456))
    page = response.get_data(as_text=True)
    assert response.status_code == 200
    assert "1,234.56 USD" in page
    assert "Confirm payment" in page
    assert "<script" not in page
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("answer", "standing"), [("confirm", "authorized"), ("refuse", "declined")])
def test_the_buyers_answer_leads_back_to_the_shop(http: Client, answer: str, standing: str) -> None:
    page = challenge(http)
    for _ in range(2):  # a second click is the same answer
        response = http.post(page, data={"answer": answer})
        assert (response.status_code, response.headers["Location"]) == (303, ORDER_PAGE)
    assert http.get("/v1/payments?key=k").get_json()["standing"] == standing
    again = http.get(page).get_data(as_text=True)
    assert "<form" not in again
    assert 'href="http://127.0.0.1:8000/orders/1/?key=a&amp;b=c"' in again


def test_an_answer_that_comes_too_late_changes_nothing(http: Client, server: Server) -> None:
    page = challenge(http)
    server.bank.void(key="v", transaction_id=page.rpartition("/")[2])
    assert http.post(page, data={"answer": "confirm"}).status_code == 303
    assert "This payment was called off" in http.get(page).get_data(as_text=True)
    assert http.get("/v1/payments?key=k").get_json()["standing"] == "voided"


@pytest.mark.parametrize(
    "address", ["", "javascript:alert(1)", "data:text/html,x", "//evil.example", "/orders/1/", "http://", "http://[x"]
)
def test_only_web_addresses_lead_anywhere(http: Client, address: str) -> None:
    response = http.post(challenge(http, return_url=address), data={"answer": "confirm"})
    page = response.get_data(as_text=True)
    assert response.status_code == 200
    assert "This payment is confirmed" in page
    assert "href" not in page


def test_an_answer_that_is_none_and_a_payment_that_is_not_there(http: Client, server: Server) -> None:
    page = challenge(http)
    assert http.post(page, data={"answer": "maybe"}).status_code == 400
    assert http.post(page).status_code == 400
    assert "Confirm payment" in http.get(page).get_data(as_text=True)
    plain = pay(http, key="plain").get_json()["transaction_id"]
    for missing in ("nobody", plain):
        assert http.get(f"/challenges/{missing}").status_code == 404
        assert http.post(f"/challenges/{missing}", data={"answer": "confirm"}).status_code == 404


def test_the_front_page(http: Client) -> None:
    assert "sandbox" in http.get("/").get_data(as_text=True)


def test_no_page_in_a_browser_controls_the_bank(http: Client) -> None:
    """XA11: a form of any site could close the bank of its visitor."""
    body = '{"seconds": 60}'
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        refused = http.post("/v1/control/outage", data=body, content_type=content_type)
        assert code(refused) == (415, "unsupported_media_type")
    refused = http.post("/v1/control/outage", json={"seconds": 60}, headers={"Origin": "https://evil.example"})
    assert code(refused) == (403, "forbidden")
    assert code(http.get("/v1/payments?key=k")) == (404, "no_such_payment")
