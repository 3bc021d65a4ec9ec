"""Holds that were not paid in time expire. The scheduler calls this every second (`jobs.py`)."""

from collections.abc import Callable, Mapping
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from events import catalogue
from inventory.ledger import Kind
from inventory.models import Reservation
from inventory.reservations import holds, reservation_rows
from kafka_bridge.publishing import outbox
from kafka_bridge.runtime.postgresql import transactions

# If the money is being captured, or is captured already, the hold is about to become a sale: look again after this.
_RECHECK_SECONDS = 5


def expire_holds(*, limit: int = 500) -> int:
    """Release holds that have run out and publish `inventory.expired`; needs a transaction. Returns how many.

    A payment that is being captured wins. In the same transaction payments is asked to make sure that these orders
    are never charged, and only orders for which it succeeds lose their hold. So a buyer keeps either the money or
    the hold, never neither.
    """
    transactions.require("inventory.reservations.expiry")
    due = reservation_rows.lock_expired(limit)
    if not due:
        return 0
    never_charged = _stop_payments({order_id: hold.flow for order_id, hold in due.items()})
    reservation_rows.postpone_expiry(due.keys() - never_charged, seconds=_RECHECK_SECONDS)
    expired = [order_id for order_id in due if order_id in never_charged]
    holds.put_back(held=expired, sold=[], state=Reservation.State.EXPIRED, kind=Kind.EXPIRED, reason="not paid in time")
    if expired:
        outbox.publish(*(_expired(order_id, due[order_id]) for order_id in expired))
    return len(expired)


def _expired(order_id: UUID, hold: reservation_rows.ExpiredHold) -> catalogue.InventoryExpired:
    return catalogue.InventoryExpired(order_id=order_id, flow=hold.flow, too_many_unpaid=hold.too_many_unpaid)


def _stop_payments(orders: Mapping[UUID, str]) -> set[UUID]:
    """Ask payments, which inventory may not import; `settings.INVENTORY_PAYMENT_STOP` names the function."""
    stop: Callable[[Mapping[UUID, str]], set[UUID]] = import_string(settings.INVENTORY_PAYMENT_STOP)
    return stop(orders)
