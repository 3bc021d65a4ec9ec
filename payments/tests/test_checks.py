"""What `manage.py check` says about the gateway's settings."""

from typing import Any

import pytest
from django.core import checks

from payments.checks import STRIPE

pytestmark = pytest.mark.money


def said(settings: Any, **values: Any) -> list[str | None]:
    for name, value in values.items():
        setattr(settings, name, value)
    return [message.id for message in checks.run_checks() if str(message.id).startswith("payments.")]


def test_the_sandbox_needs_no_keys(settings: Any) -> None:
    assert said(settings, STRIPE_SECRET_KEY="", STRIPE_PUBLISHABLE_KEY="", PAYMENT_WEBHOOK_SECRETS=[]) == []


@pytest.mark.parametrize(
    ("secret", "publishable", "webhooks", "expected"),
    [
        ("sk_test_1", "pk_test_1", ["whsec_1"], []),
        ("rk_live_1", "pk_live_1", ["whsec_1"], []),
        ("", "pk_test_1", ["whsec_1"], ["payments.E001"]),
        ("pk_test_1", "sk_test_1", ["whsec_1"], ["payments.E001", "payments.E002"]),
        ("sk_test_1", "", ["whsec_1"], ["payments.E002"]),
        ("sk_live_1", "pk_test_1", ["whsec_1"], ["payments.E003"]),
        ("sk_test_1", "pk_test_1", [], ["payments.W001"]),
        ("sk_test_1", "pk_test_1", [""], ["payments.W001"]),
    ],
)
def test_stripe_needs_its_keys(
    settings: Any, secret: str, publishable: str, webhooks: list[str], expected: list[str]
) -> None:
    assert expected == said(
        settings,
        PAYMENT_GATEWAY=STRIPE,
        PAYMENT_CONFIRM_ORIGINS=["https://hooks.stripe.com"],
        STRIPE_SECRET_KEY=secret,
        STRIPE_PUBLISHABLE_KEY=publishable,
        PAYMENT_WEBHOOK_SECRETS=webhooks,
    )


def test_the_message_says_what_to_set(settings: Any) -> None:
    settings.PAYMENT_GATEWAY, settings.STRIPE_SECRET_KEY = STRIPE, ""
    [error] = [message for message in checks.run_checks() if message.id == "payments.E001"]
    assert error.msg == "Stripe is the payment gateway, but STRIPE_SECRET_KEY is not set."
    assert "https://dashboard.stripe.com/apikeys" in (error.hint or "")


@pytest.mark.security
def test_buyers_confirm_at_stripe_on_encrypted_pages_only(settings: Any) -> None:
    """XB5: an origin that was set by hand is one with TLS."""
    keys = {"STRIPE_SECRET_KEY": "sk_test_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1", "PAYMENT_WEBHOOK_SECRETS": ["w"]}
    origins = ["https://hooks.stripe.com", "http://hooks.stripe.com"]
    assert said(settings, PAYMENT_GATEWAY=STRIPE, PAYMENT_CONFIRM_ORIGINS=origins, **keys) == ["payments.E004"]
