"""What tests ask of the Stripe gateway: money that is set aside, and money that is taken."""

from typing import Any

from payments.gateways import Succeeded
from payments.gateways.stripe import StripeGateway

RETURN_URL = "http://127.0.0.1:8000/orders/1/"
TIMEOUT_SECONDS = 1.0


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
