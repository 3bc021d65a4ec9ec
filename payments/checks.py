"""What is missing for the gateway that is set; `manage.py check` and every command say it."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

STRIPE = "payments.gateways.stripe.StripeGateway"


def check_gateway(*, app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """With Stripe: its two keys, both of the same mode, and a secret for its webhooks."""
    if settings.PAYMENT_GATEWAY != STRIPE:
        return []
    secret, publishable = settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY
    found: list[CheckMessage] = []
    if not secret.startswith(("sk_", "rk_")):
        found.append(_error("STRIPE_SECRET_KEY", secret, "the secret key (sk_… or rk_…)", "payments.E001"))
    if not publishable.startswith("pk_"):
        found.append(_error("STRIPE_PUBLISHABLE_KEY", publishable, "the publishable key (pk_…)", "payments.E002"))
    if not found and ("_live_" in secret) != ("_live_" in publishable):
        found.append(
            Error(
                "One of Stripe's keys is for real money and the other one for tests.",
                hint="Set STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY to keys of the same mode.",
                id="payments.E003",
            )
        )
    if not any(settings.PAYMENT_WEBHOOK_SECRETS):
        found.append(
            Warning(
                "Stripe's webhooks cannot be checked, so all are refused; outcomes are heard of late, by asking.",
                hint="Set PAYMENT_WEBHOOK_SECRETS to the endpoint's signing secret (whsec_…).",
                id="payments.W001",
            )
        )
    if insecure := [origin for origin in settings.PAYMENT_CONFIRM_ORIGINS if not origin.startswith("https://")]:
        found.append(
            Error(
                f"Buyers would confirm payments at {', '.join(insecure)}, which is not encrypted.",
                hint="Set PAYMENT_CONFIRM_ORIGINS to the gateway's https origins, or unset it for Stripe's own.",
                id="payments.E004",
            )
        )
    return found


def _error(name: str, value: str, wanted: str, id_: str) -> Error:
    problem = "is not set" if not value else "is no key of that kind"
    return Error(
        f"Stripe is the payment gateway, but {name} {problem}.",
        hint=f"Set {name} to {wanted} from https://dashboard.stripe.com/apikeys, or unset PAYMENT_GATEWAY.",
        id=id_,
    )
