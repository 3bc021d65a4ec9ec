"""How buyers pay at the checkout: with one of the sandbox's test cards, or on Stripe's form."""

import re
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from payments import checks
from payments.gateways import sandbox

TOKENS = tuple(card.token for card in sandbox.TEST_CARDS)
# Of the release that the SDK's version of the API belongs to.
STRIPE_JS = "https://js.stripe.com/endive/stripe.js"
# What Stripe's form needs, on the one page that shows it: https://docs.stripe.com/security/guide
_STRIPE_POLICY = {
    "script-src": ["https://js.stripe.com", "https://*.js.stripe.com"],
    "frame-src": ["https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"],
    "connect-src": ["https://api.stripe.com"],
}


def is_by_stripe() -> bool:
    """Whether real cards are entered, on Stripe's form."""
    return bool(settings.PAYMENT_GATEWAY == checks.STRIPE)


def accepts(token: str) -> bool:
    """Whether this can name a means of payment; whether it is one, the gateway says."""
    if is_by_stripe():
        return re.fullmatch(r"pm_[A-Za-z0-9_]{1,77}", token, re.ASCII) is not None
    return token in TOKENS


def expected() -> str:
    """What `accepts`, for people who write programs."""
    return "the id of a payment method of Stripe, pm_…" if is_by_stripe() else f"one of {', '.join(sorted(TOKENS))}"


def context(chosen: str) -> dict[str, Any]:
    """What the payment part of the checkout form shows; `chosen` is what the buyer sent before."""
    if is_by_stripe():
        return {
            "stripe_js": STRIPE_JS,
            "stripe_key": settings.STRIPE_PUBLISHABLE_KEY,
            "currency": settings.CURRENCY.lower(),
            "kept_card": chosen if accepts(chosen) else "",
        }
    common = [card for card in sandbox.TEST_CARDS if card.is_common]
    others = [card for card in sandbox.TEST_CARDS if not card.is_common]
    return {
        "common_cards": common,
        "other_cards": others,
        "is_other_chosen": any(card.token == chosen for card in others),
        "chosen_card": chosen,
    }


def allow_form(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let the page of this response show Stripe's form, if that is how buyers pay."""
    if is_by_stripe():
        csp_update(_STRIPE_POLICY)(lambda _: response)(request)
    return response
