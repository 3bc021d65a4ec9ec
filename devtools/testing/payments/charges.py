"""What the tests of payments share: orders that ask for money, orders that are over, and what their charges came to."""

from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from events import catalogue
from kafka_bridge import testing
from payments import charges
from payments.gateways import PaymentStatus, Unknown
from payments.models import Charge, ChargeEntry
from payments.state_machine import claiming, settlement
from payments.state_machine.transitions import GatewayAnswer

PRICE = 1999


def charge_request(order_id: UUID, method: str = "pm_success", **changes: Any) -> charges.ChargeRequest:
    """19.99 for one book."""
    return charges.ChargeRequest(
        **{
            "order_id": order_id,
            "flow": catalogue.RESERVE_FIRST,
            "amount_minor": PRICE,
            "currency": "USD",
            "payment_method": method,
            "lines": (catalogue.Line(sku="a", quantity=1, unit_price_minor=PRICE),),
            **changes,
        }
    )


def ask_for(*methods: str) -> list[UUID]:
    """Charges for new orders; the orders' ids."""
    ids = [uuid4() for _ in methods]
    with transaction.atomic():
        charges.request_charges(
            requests=[charge_request(order_id, method) for order_id, method in zip(ids, methods, strict=True)]
        )
    return ids


def cancelled(order_id: UUID) -> catalogue.OrderCancelled:
    """The order is over."""
    return catalogue.OrderCancelled(
        order_id=order_id,
        flow=catalogue.RESERVE_FIRST,
        reason="test",
        total_minor=PRICE,
        currency="USD",
        was_confirmed=False,
    )


def undo(*order_ids: UUID) -> None:
    """These orders are over, and payments hears it."""
    with transaction.atomic():
        charges.undo(cancelled=[cancelled(order_id) for order_id in order_ids])


def prevent_charge(*order_ids: UUID) -> set[UUID]:
    """The holds of these orders have run out; those that will never be captured."""
    with transaction.atomic():
        return charges.prevent_charge(dict.fromkeys(order_ids, catalogue.RESERVE_FIRST))


def claim() -> Charge:
    """The one charge that is due, taken as by a gateway worker."""
    [charge] = claiming.claim_charges(limit=1)
    return charge


def answer(claimed: Charge, said: GatewayAnswer | Unknown | PaymentStatus) -> None:
    """The gateway's answer to it comes in."""
    given = GatewayAnswer(standing=said, transaction_id="sbx_by_hand") if isinstance(said, PaymentStatus) else said
    with transaction.atomic():
        settlement.settle(charges=[(claimed, given)])


def captured_by_hand() -> UUID:
    """An order whose 19.99 are taken, as far as we know; its id."""
    [order_id] = ask_for("pm_success")
    answer(claim(), PaymentStatus.AUTHORIZED)
    answer(claim(), PaymentStatus.CAPTURED)
    return order_id


def stated_types() -> list[str]:
    """The types of the events that were stated, oldest first."""
    return [event.TYPE for event in testing.stated()]


def history() -> list[tuple[str, str]]:
    """The lines of the histories of all charges, and the states after them."""
    return list(ChargeEntry.objects.values_list("what", "state"))
