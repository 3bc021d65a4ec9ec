"""Parcels: made when an order is confirmed, taken and brought by the sandbox carrier after its delays."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from events import catalogue
from events.base import OrderEvent
from kafka_bridge.publishing import outbox
from orders.models import Order, Shipment, Status
from orders.state_machine.transitions import Answer
from orders.state_machine.unit_of_work import begin

CARRIER = "Sandbox Parcel"
_BATCH = 200
_WITH_CARRIER = (Shipment.State.PACKED, Shipment.State.SHIPPED)


def pack(*, order_ids: Sequence[UUID]) -> None:
    """Make a parcel with a tracking number for each of these orders that has none yet and is still wanted."""
    due_at = timezone.now() + timedelta(seconds=settings.CARRIER_SHIP_DELAY_SECONDS)
    locked = Order.objects.filter(pk__in=order_ids, status=Status.PAID).order_by("pk").select_for_update()
    wanted = list(locked.values_list("pk", flat=True))
    Shipment.objects.bulk_create(
        [
            Shipment(
                order_id=order_id,
                carrier=CARRIER,
                tracking_number=new_tracking_number(),
                due_at=due_at,
                caused_by=outbox.cause_of(str(order_id)),
            )
            for order_id in wanted
        ],
        ignore_conflicts=True,
    )


def move_parcels() -> bool:
    """Let the carrier take and bring what is due. True if there may be more at once."""
    # Only looked up, and outside of any transaction: orders are locked before shipments everywhere, and whoever has
    # the lock looks again. Mostly nothing is due.
    due = Shipment.objects.filter(state__in=_WITH_CARRIER, due_at__lte=timezone.now()).order_by("due_at")
    found = list(due.values_list("order_id", "state")[:_BATCH])
    moves = [_move(state, [order for order, its in found if its == state]) for state in _WITH_CARRIER]
    return any(moves)


def _move(state: Shipment.State, order_ids: Sequence[UUID]) -> bool:
    if not order_ids:
        return False
    advance = ship if state is Shipment.State.PACKED else deliver
    with transaction.atomic(durable=True):
        moved = advance(order_ids=order_ids, by=CARRIER)
        if left := set(order_ids) - {order.pk for order in moved}:
            Shipment.objects.filter(order__in=left, order__status=Status.CANCELLED).update(state=Shipment.State.STOPPED)
    return bool(moved)


def new_tracking_number() -> str:
    """Two letters, ten digits, as carriers write them."""
    return f"SP{secrets.randbelow(10**10):010d}"


def ship(*, order_ids: Sequence[UUID], by: str) -> list[Order]:
    """The parcels of these orders have left. Orders that are not paid, held and unshipped are left alone.

    Returns the orders that were shipped.
    """
    return _advance(order_ids, Status.SHIPPED, Shipment.State.SHIPPED, by)


def deliver(*, order_ids: Sequence[UUID], by: str) -> list[Order]:
    """The parcels of these orders have arrived. Orders that are not shipped are left alone.

    Returns the orders that were delivered.
    """
    return _advance(order_ids, Status.DELIVERED, Shipment.State.DELIVERED, by)


def _advance(order_ids: Sequence[UUID], status: Status, parcel: Shipment.State, by: str) -> list[Order]:
    before = Status.PAID if status is Status.SHIPPED else Status.SHIPPED
    work = begin(order_ids)
    parcels = {each.order_id: each for each in Shipment.objects.filter(order__in=order_ids)}
    ready = [o for o in work.orders.values() if o.status == before and o.is_confirmed and o.pk in parcels]
    for order in ready:
        shipment = parcels[order.pk]
        order.move_to(status, at=work.now)
        fact = _left_or_arrived(order, status, shipment.tracking_number)
        work.stated.append(outbox.Caused(fact, shipment.caused_by))
        work.note(order, status.label.lower(), Answer.MOVE, f"by {by}: parcel {shipment.tracking_number}")
    Shipment.objects.filter(order__in=ready).update(
        state=parcel, due_at=work.now + timedelta(seconds=settings.CARRIER_DELIVER_DELAY_SECONDS)
    )
    work.close()
    return ready


def _left_or_arrived(order: Order, status: Status, tracking_number: str) -> OrderEvent:
    if status is Status.SHIPPED:
        return catalogue.OrderShipped(order_id=order.pk, flow=order.flow, tracking_number=tracking_number)
    return catalogue.OrderDelivered(order_id=order.pk, flow=order.flow)
