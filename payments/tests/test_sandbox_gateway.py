"""The sandbox gateway, client and server together: what each card answers, and what is in the books then."""

from datetime import UTC, datetime
from typing import Any

import pytest

from devtools.testing.payments.sandbox_bank import InProcessGateway, authorize
from payments import gateways
from payments.gateways import Declined, PaymentStatus, RequiresAction, Succeeded, Unknown, http_pool
from payments.gateways.sandbox import SandboxGateway

pytestmark = pytest.mark.money


def test_authorized_captured_and_refunded(sandbox_gateway: InProcessGateway) -> None:
    answer = authorize(sandbox_gateway, "pm_success")
    assert isinstance(answer, Succeeded)
    assert authorize(sandbox_gateway, "pm_success") == answer
    found = answer.transaction_id
    for _ in range(2):
        assert sandbox_gateway.capture(key="k1:capture", transaction_id=found, amount_minor=1999) == answer
        back = sandbox_gateway.refund(key="r1", transaction_id=found, amount_minor=999)
        assert isinstance(back, Succeeded)
    assert sandbox_gateway.find_refund(key="r1", transaction_id=found) == back
    assert sandbox_gateway.refund(key="r2", transaction_id=found, amount_minor=1001) == Declined(
        "only 1000 of this payment are left"
    )
    payment = sandbox_gateway.find(key="k1")
    assert isinstance(payment, gateways.Payment)
    assert (payment.standing, payment.captured_minor, payment.refunded_minor) == (PaymentStatus.CAPTURED, 1999, 999)
    assert list(sandbox_gateway.statement(since=datetime.fromtimestamp(0, UTC))) == [payment]
    assert [(e.kind, e.key, e.amount_minor, e.declined) for e in sandbox_gateway.bank.entries()] == [
        ("authorization", "k1", 1999, ""),
        ("capture", "k1:capture", 1999, ""),
        ("refund", "r1", 999, ""),
        ("refund", "r2", 1001, "only 1000 of this payment are left"),
    ]


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("pm_declined", "card declined"),
        ("pm_insufficient_funds", "insufficient funds"),
        ("pm_fraud", "suspected fraud"),
        ("pm_nobody_knows", "unknown card"),
    ],
)
def test_a_card_that_is_declined(sandbox_gateway: InProcessGateway, card: str, reason: str) -> None:
    assert authorize(sandbox_gateway, card) == authorize(sandbox_gateway, card) == Declined(reason)
    [entry] = sandbox_gateway.bank.entries()
    assert (entry.kind, entry.declined) == ("authorization", reason)


def test_a_card_whose_first_answers_get_lost(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 1, on the bank's side: done, and nobody is told."""
    assert isinstance(authorize(sandbox_gateway, "pm_charges_then_times_out"), Unknown)
    answer = authorize(sandbox_gateway, "pm_charges_then_times_out")
    assert isinstance(answer, Succeeded)
    capture: dict[str, Any] = {"key": "k1:capture", "transaction_id": answer.transaction_id, "amount_minor": 1999}
    assert isinstance(sandbox_gateway.capture(**capture), Unknown)
    assert sandbox_gateway.capture(**capture) == answer
    assert [entry.kind for entry in sandbox_gateway.bank.entries()] == ["authorization", "capture"]


def test_a_card_whose_first_calls_get_lost(sandbox_gateway: InProcessGateway) -> None:
    """FAILURES 1, on the bank's side: not done, and nobody is told."""
    assert isinstance(authorize(sandbox_gateway, "pm_times_out_before"), Unknown)
    assert sandbox_gateway.find(key="k1") is None
    answer = authorize(sandbox_gateway, "pm_times_out_before")
    assert isinstance(answer, Succeeded)
    assert isinstance(sandbox_gateway.void(key="k1:void", transaction_id=answer.transaction_id), Unknown)
    assert [entry.kind for entry in sandbox_gateway.bank.entries()] == ["authorization"]
    assert sandbox_gateway.void(key="k1:void", transaction_id=answer.transaction_id) == answer


@pytest.mark.parametrize("confirms", [True, False])
def test_a_card_that_asks_the_buyer(sandbox_gateway: InProcessGateway, confirms: bool) -> None:
    answer = authorize(sandbox_gateway, "pm_3ds")
    assert isinstance(answer, RequiresAction)
    assert answer.url.endswith(f"/challenges/{answer.transaction_id}")
    assert isinstance(
        sandbox_gateway.capture(key="early", transaction_id=answer.transaction_id, amount_minor=1999), Declined
    )
    bank = sandbox_gateway.bank
    (bank.confirm if confirms else bank.refuse)(answer.transaction_id)
    payment = sandbox_gateway.find(key="k1")
    assert isinstance(payment, gateways.Payment)
    assert payment.standing == (PaymentStatus.AUTHORIZED if confirms else PaymentStatus.DECLINED)
    assert authorize(sandbox_gateway, "pm_3ds") == (
        Succeeded(answer.transaction_id) if confirms else Declined("not confirmed by the cardholder")
    )


def test_nobody_there(settings: Any) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    answer = SandboxGateway().find(key="k")
    assert isinstance(answer, Unknown)
    assert "Connection refused" in answer.detail


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"standing": "odd"}', b'{"transaction_id": 1}'])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_answer_in_other_words_says_nothing(status: int, body: bytes) -> None:
    """A 404 of somebody else (a proxy, a wrong address) does not mean that there was no payment."""

    class Fixed:
        def call(self, method: str, path: str, *, body: bytes = b"", headers: object) -> http_pool.HttpReply:
            return http_pool.HttpReply(status, content)

    content = body
    gateway = SandboxGateway(Fixed())
    assert isinstance(authorize(gateway), Unknown)
    assert isinstance(gateway.find(key="k"), Unknown)
    assert isinstance(gateway.capture(key="c", transaction_id="t", amount_minor=1), Unknown)
