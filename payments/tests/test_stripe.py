"""The Stripe gateway against a double that runs as a server: the real SDK over real HTTP.

What the double cannot show is in docs/operations.md, "To be tried with a real key".
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from devtools.testing.payments.stripe_calls import RETURN_URL, TIMEOUT_SECONDS, authorize, authorized, captured
from devtools.testing.payments.stripe_process import Double
from payments.gateways import Answer, Declined, Payment, PaymentStatus, RequiresAction, Succeeded, Unknown, stripe
from payments.gateways.stripe import StripeGateway

pytestmark = pytest.mark.money


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
