"""Parcels: made when an order is confirmed, taken and brought by the sandbox carrier after its delays."""

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from orders import services
from orders.models import Order, Shipment, Status

CARRIER = "Sandbox Parcel"
_BATCH = 200


def pack(*, order_ids: Sequence[UUID]) -> None:
    """Make a parcel with a tracking number for each of these orders that has none yet and is still wanted."""
    due_at = timezone.now() + timedelta(seconds=settings.CARRIER_SHIP_DELAY_SECONDS)
    wanted = Order.objects.filter(pk__in=order_ids, status=Status.PAID).order_by("pk").select_for_update()
    Shipment.objects.bulk_create(
        [
            Shipment(order=order, carrier=CARRIER, tracking_number=new_tracking_number(), due_at=due_at)
            for order in wanted
        ],
        ignore_conflicts=True,
    )


def move_parcels() -> bool:
    """Let the carrier take and bring what is due. True if there may be more at once."""
    shipped = _move(Shipment.State.PACKED, services.ship)
    delivered = _move(Shipment.State.SHIPPED, services.deliver)
    return shipped or delivered


def _move(state: Shipment.State, advance: Callable[..., list[Order]]) -> bool:
    with transaction.atomic(durable=True):
        # Orders are locked before shipments everywhere, so the due ones are only looked up here.
        due = Shipment.objects.filter(state=state, due_at__lte=timezone.now()).order_by("due_at")
        order_ids = list(due.values_list("order_id", flat=True)[:_BATCH])
        if not order_ids:
            return False
        moved = advance(order_ids=order_ids, by=CARRIER)
        left = set(order_ids) - {order.pk for order in moved}
        Shipment.objects.filter(order__in=left, order__status=Status.CANCELLED).update(state=Shipment.State.STOPPED)
        return bool(moved)


def new_tracking_number() -> str:
    """Two letters, ten digits, as carriers write them."""
    return f"SP{secrets.randbelow(10**10):010d}"
